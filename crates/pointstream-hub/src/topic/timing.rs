//! What time does to a topic.

use super::*;

impl Topic {
    /// Tells the time, which does not go back, and does what is due: documents and items that have
    /// lasted long enough end, views show what their rate held back, digests are told, and
    /// views that nobody follows any more are dropped.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.expires.is_some_and(|at| at <= self.now) {
            self.expire();
        }
        let due = self.now;
        let changes = self.content.items_mut().map(|items| items.expire(due)).unwrap_or_default();
        if !changes.is_empty() {
            self.on_delta(&Delta::Items { changes, first: false });
        }
        self.refresh_views();
        self.monitor_views();
        let (now, linger) = (self.now, self.limits.view_linger);
        for view in self.views.iter_mut().skip(1) {
            if view
                .as_ref()
                .is_some_and(|view| view.readers == 0 && view.idle_since + linger <= now)
            {
                *view = None;
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; never if there is
    /// nothing to come.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let items = self.content.items().and_then(crate::items::Items::poll_timeout);
        let views = self.views.iter().skip(1).flatten().filter_map(|view| {
            let idle = (view.readers == 0).then(|| view.idle_since + self.limits.view_linger);
            let waits = view.waits.then_some(view.opens);
            idle.into_iter().chain(waits).min()
        });
        let monitors = self.views.iter().flatten().filter(|view| view.monitor.readers > 0);
        let views = views.chain(monitors.map(|view| view.monitor.due));
        views.chain(self.expires).chain(items).min()
    }

    /// The document ends: the topic and its views are as before the first publication.
    fn expire(&mut self) {
        self.expires = None;
        if self.kind() == TopicKind::Rows {
            return;
        }
        self.content.clear();
        for view in self.views.iter_mut().flatten() {
            view.clear(Epoch::draw(&mut self.seed));
        }
    }

    fn monitor_views(&mut self) {
        let (now, period) = (self.now, self.limits.monitor_period);
        for (at, view) in (0..).zip(&mut self.views) {
            let Some(view) = view else { continue };
            if view.monitor.readers > 0 && view.monitor.due <= now {
                view.monitor.due = now + period;
                view.monitor.count = view.monitor.count.wrapping_add(1);
                self.changed.push(at);
            }
        }
    }

    fn refresh_views(&mut self) {
        let Self { views, content, options, patch, now, changed, .. } = self;
        let w = Writing { options, patch, now: *now };
        for (at, view) in (0..).zip(views) {
            let Some(view) = view else { continue };
            if view.waits && view.opens <= w.now && view.refresh(content, w).is_some() {
                changed.push(at);
            }
        }
    }
}
