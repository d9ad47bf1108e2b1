use pointstream_hub::{
    Cursor, Epoch, EventKind, ItemOptions, Limits, Mode, Payload, Publication, Subscribe, Topic,
    TopicOptions, UpdateMode, ViewSpec, split_batch,
};
use pointstream_patch::apply;

/// Publications of strangers to a topic, and wishes of strangers about it. The first byte chooses the
/// topic; then come pieces that a zero byte ends, each a publication whose first byte says in which
/// form. Whoever follows the topic or a view of it ends with its document.
pub fn hub_topic(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else { return };
    let mut limits = Limits::default();
    (limits.ring_events_max, limits.items_max) = (4, 16);
    let mut topic = Topic::new(Epoch::new(u128::from(kind)), &options(kind), &limits);
    let mut readers: Vec<Reader> =
        views(rest).into_iter().map(|view| Reader::new(&mut topic, view)).collect();
    for (at, piece) in rest.split(|&byte| byte == 0).enumerate() {
        let Some((&form, body)) = piece.split_first() else { continue };
        let _ = split_batch(body, 4_096);
        let payload = match form % 4 {
            0 => Payload::Json(body),
            1 => Payload::Lines(body),
            2 => Payload::JsonPatch(body),
            _ => Payload::MergePatch(body),
        };
        let before = topic.at_most();
        let refused = topic.publish_with(&Publication::new(payload)).is_err();
        assert!(!refused || topic.at_most() == before, "what is refused changes nothing");
        if at % 2 == 0 {
            readers.iter_mut().for_each(|reader| reader.read(&mut topic));
        }
    }
    for reader in &mut readers {
        reader.read(&mut topic);
        let mut fresh = Reader::new(&mut topic, reader.view.clone());
        fresh.read(&mut topic);
        match (&reader.document, &fresh.document) {
            (Some(read), Some(whole)) => {
                let same =
                    pointstream_patch::diff(read.as_bytes(), whole.as_bytes(), &Default::default());
                assert!(
                    matches!(same, Ok(pointstream_patch::Change::Nothing)),
                    "{read} is not {whole}"
                );
            }
            (read, whole) => assert_eq!(read, whole),
        }
    }
}

trait AtMost {
    fn at_most(&self) -> (Option<u64>, usize);
}

impl AtMost for Topic {
    fn at_most(&self) -> (Option<u64>, usize) {
        (self.revision().map(|revision| revision.seq), self.document_bytes())
    }
}

fn options(kind: u8) -> TopicOptions {
    let Ok(path) = ".id".parse() else { return TopicOptions::text() };
    let mut items = ItemOptions::new(path);
    items.update = match kind % 4 {
        0 => return TopicOptions::text(),
        1 => UpdateMode::Patch,
        2 => UpdateMode::Merge,
        _ => UpdateMode::MergeNullRemoves,
    };
    TopicOptions::items(items)
}

/// The whole, and views whose names are in the data.
fn views(data: &[u8]) -> Vec<ViewSpec> {
    let text = String::from_utf8_lossy(data);
    let mut names = text.split('"').skip(1).step_by(2);
    let (first, second) = (names.next().unwrap_or("a"), names.next().unwrap_or("b"));
    let whole = ViewSpec::default();
    let wanted = [
        Ok(whole.clone()),
        whole.clone().filter([first, second, "1"]),
        whole.clone().pointer(&format!("/0/{}", first.replace('~', "~0").replace('/', "~1"))),
        whole.clone().fields([first, second]),
        whole.clone().pointer("/0").and_then(|view| view.fields([second])),
    ];
    wanted.into_iter().flatten().collect()
}

struct Reader {
    view: ViewSpec,
    cursor: Option<Cursor>,
    document: Option<String>,
}

impl Reader {
    fn new(topic: &mut Topic, view: ViewSpec) -> Self {
        let mut wanted = Subscribe::new(Mode::Patch, None);
        wanted.view = view.clone();
        wanted.verify = true;
        Self { view, cursor: topic.attach(&wanted).ok(), document: None }
    }

    fn read(&mut self, topic: &mut Topic) {
        let Some(cursor) = &mut self.cursor else { return };
        while let Some(event) = topic.next(cursor) {
            let frame = String::from_utf8(event.sse().to_vec()).expect("an event is text");
            assert!(frame.is_ascii() && frame.ends_with("\n\n") && !frame.contains('\r'));
            assert_eq!(frame.lines().filter(|line| line.starts_with("data: ")).count(), 1);
            let body = String::from_utf8(event.body().to_vec()).expect("a body is text");
            match event.kind() {
                EventKind::Data => self.document = Some(body),
                EventKind::Patch => {
                    let before = self.document.take().expect("a patch follows a document");
                    let after = apply(before.as_bytes(), body.as_bytes(), &Default::default());
                    self.document = Some(after.expect("a patch applies"));
                }
                _ => {}
            }
        }
    }
}
