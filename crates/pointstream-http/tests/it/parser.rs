//! A parser of event streams written from the rules of the WHATWG (HTML, section 9.2.6), and
//! nothing beyond them.

/// What a client has understood so far.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    started: bool,
    /// Bytes of a line whose end has not come.
    line: Vec<u8>,
    /// The last byte was a CR, so that an LF now ends nothing.
    after_cr: bool,
    data: String,
    event: String,
    id: String,
    /// Events that were dispatched.
    pub(crate) events: Vec<Event>,
    /// The id that a client would send when it comes back.
    pub(crate) last_event_id: String,
    /// The wait that was asked for, in milliseconds.
    pub(crate) retry: Option<u64>,
    /// The comments.
    pub(crate) comments: Vec<String>,
}

/// An event as a client sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) last_event_id: String,
}

impl Parser {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.on_line(&line);
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(byte);
                }
            }
        }
    }

    /// A parser that was given the whole.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut parser = Self::default();
        parser.feed(bytes);
        parser
    }

    fn on_line(&mut self, line: &[u8]) {
        let first = !std::mem::replace(&mut self.started, true);
        let line = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        let line = std::str::from_utf8(line).expect("the stream is UTF-8");
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match line.split_once(':') {
            Some(("", comment)) => return self.comments.push(comment.to_owned()),
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (line, ""),
        };
        match field {
            "event" => self.event = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok();
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.last_event_id.clone_from(&self.id);
        let (data, event) = (std::mem::take(&mut self.data), std::mem::take(&mut self.event));
        if data.is_empty() {
            return;
        }
        let name = if event.is_empty() { "message".to_owned() } else { event };
        let data = data.strip_suffix('\n').unwrap_or(&data).to_owned();
        self.events.push(Event { name, data, last_event_id: self.last_event_id.clone() });
    }
}

#[test]
fn the_parser_keeps_the_rules() {
    let parser = Parser::of(
        b"\xef\xbb\xbf:c\r\ndata: a\rdata:b\n\nid: 1\nevent: x\nretry: 5\n\nretry: 5s\nid:\x00\nfoo\n\
          data\n\nevent: y\ndata:  two\n\ndata: unfinished\n",
    );
    let event = |name: &str, data: &str, id: &str| Event {
        name: name.into(),
        data: data.into(),
        last_event_id: id.into(),
    };
    let expected =
        [event("message", "a\nb", ""), event("message", "", "1"), event("y", " two", "1")];
    assert_eq!(parser.events, expected);
    assert_eq!((parser.retry, parser.comments), (Some(5), vec!["c".to_owned()]));
}
