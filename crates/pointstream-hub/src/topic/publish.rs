//! What comes into a topic.

use pointstream_patch::Document;

use super::*;

impl Topic {
    /// Takes the next text of the document; gives the kind of the event that it became, none if
    /// the value is the same as before.
    ///
    /// # Errors
    ///
    /// As those of [`publish_with`](Self::publish_with).
    pub fn publish(&mut self, text: &[u8]) -> Result<Option<EventKind>, Error> {
        self.publish_with(&Publication::new(Payload::Json(text))).map(|published| published.event)
    }

    /// Takes a publication.
    ///
    /// # Errors
    ///
    /// What is not JSON, too long, or not how this topic is published to; a patch that cannot be
    /// applied; a condition that does not hold. Nothing has changed then.
    pub fn publish_with(&mut self, publication: &Publication<'_>) -> Result<Published, Error> {
        let (kind, bytes) = publication.payload.parts();
        let key = publication.idempotency_key.map(|key| (key, digest(kind, bytes)));
        if let Some((key, digest)) = key
            && let Some(published) = self.keys.find(key, digest)?
        {
            return Ok(published);
        }
        if let Some(rate) = &mut self.rate {
            rate.take(self.now)?;
        }
        if let Some(wanted) = publication.if_match
            && self.revision() != Some(wanted)
        {
            return Err(Error::Precondition { current: self.revision() });
        }
        if !self.options.force_publishing && self.readers == 0 {
            return Err(Error::NoSubscribers);
        }
        let published = match (&self.content, publication.payload) {
            (Content::Text(_), Payload::Lines(bytes)) => self.publish_lines(bytes)?,
            _ => self.publish_one(publication.payload)?,
        };
        if let Some((key, digest)) = key {
            self.keys.keep(key, digest, published);
        }
        Ok(published)
    }

    /// Lets `with` edit the rows and makes one event of all its edits; gives that event's kind,
    /// none if nothing changed.
    ///
    /// The first edit gives the topic its document, even an empty one.
    ///
    /// # Errors
    ///
    /// A topic that is not of rows. What is wrong with a single edit is told to `with`.
    pub fn edit<R>(
        &mut self,
        with: impl FnOnce(&mut Edit<'_>) -> R,
    ) -> Result<(R, Option<EventKind>), Error> {
        let kind = self.kind();
        let Content::Rows { rows, edited } = &mut self.content else {
            return Err(Error::WrongKind(kind));
        };
        let result = with(&mut Edit::new(rows));
        let first = !std::mem::replace(edited, true);
        let delta = match rows.commit() {
            _ if first => Delta::Replaced,
            Change::Nothing => Delta::Nothing,
            Change::Script(script) if script.is_empty() => Delta::Nothing,
            Change::Script(script) => Delta::Script(script),
            Change::Replacement => Delta::Replaced,
        };
        Ok((result, self.on_publication(&delta)))
    }

    /// Removes an item; says whether it was there.
    ///
    /// # Errors
    ///
    /// A topic that is not of items.
    pub fn remove_item(&mut self, id: &str) -> Result<Option<Published>, Error> {
        let kind = self.kind();
        let items = self.content.items_mut().ok_or(Error::WrongKind(kind))?;
        let Some(removed) = items.remove(id) else { return Ok(None) };
        let event = self.on_publication(&Delta::Items { changes: vec![removed], first: false });
        Ok(Some(self.published(event, 0)))
    }

    fn publish_one(&mut self, payload: Payload<'_>) -> Result<Published, Error> {
        let (delta, discarded) = self.content.publish(payload, &self.patch, self.now)?;
        let event = self.on_publication(&delta);
        Ok(self.published(event, discarded))
    }

    /// Takes documents one after the other, all or, if one is wrong, none of them.
    fn publish_lines(&mut self, text: &[u8]) -> Result<Published, Error> {
        for (line, text) in lines(text) {
            let wrong = |error| Error::Line { line, error: Box::new(error) };
            content::check_len(text.len(), &self.patch.limits).map_err(wrong)?;
            let parsed = Document::parse(text, &self.patch.limits);
            parsed.map_err(|error| wrong(error.into()))?;
        }
        let mut last = self.published(None, 0);
        for (_, text) in lines(text) {
            let published = self.publish_one(Payload::Json(text))?;
            last = Published { event: published.event.or(last.event), ..published };
        }
        Ok(last)
    }

    pub(crate) fn published(&self, event: Option<EventKind>, discarded: usize) -> Published {
        let (revision, subscribers) = (self.at(), self.readers);
        Published { revision, event, subscribers, discarded, repeated: false }
    }

    /// Counts a publication and tells all views of what it did.
    fn on_publication(&mut self, delta: &Delta) -> Option<EventKind> {
        self.stats.publications += 1;
        self.expires = self.options.ttl.map(|ttl| self.now + ttl);
        let written = self.on_delta(delta);
        let Some((kind, bytes)) = written else {
            self.stats.unchanged += 1;
            return None;
        };
        match kind {
            EventKind::Patch => self.stats.patches += 1,
            _ => self.stats.replacements += 1,
        }
        self.stats.document_bytes += self.document_bytes() as u64;
        self.stats.event_bytes += bytes as u64;
        Some(kind)
    }

    /// Tells all views what changed; gives what it was to the whole topic.
    pub(super) fn on_delta(&mut self, delta: &Delta) -> Written {
        let Self { views, content, options, patch, now, changed, .. } = self;
        let w = Writing { options, patch, now: *now };
        let mut whole = None;
        for (at, view) in (0..).zip(views) {
            let Some(view) = view else { continue };
            let written = view.follow(content, delta, w);
            if written.is_some() {
                changed.push(at);
            }
            if at == WHOLE {
                whole = written;
            }
        }
        whole
    }
}
