use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use pointstream_hub::{Hub, TopicInfo};

/// What the HTTP face counts by itself.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// By the first digit of the status, from 1 on.
    responses: [AtomicU64; 5],
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) stalled: AtomicU64,
}

impl Counters {
    pub(crate) fn on_response(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.responses.get(class) {
            increment(counter);
        }
    }
}

pub(crate) fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Appends the metrics of the hub and of the HTTP face in the text format of Prometheus.
pub(crate) fn write(hub: &Hub, counters: &Counters, out: &mut String) {
    write_topics(&hub.topics(), out);
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let opened = load(&counters.opened);
    let single: [(&str, &str, &str, u64); 4] = [
        (
            "connections",
            "gauge",
            "HTTP connections that are open.",
            opened.saturating_sub(load(&counters.closed)),
        ),
        ("connections_total", "counter", "HTTP connections that were accepted.", opened),
        (
            "connections_refused_total",
            "counter",
            "HTTP connections beyond the limit.",
            load(&counters.refused),
        ),
        (
            "connections_stalled_total",
            "counter",
            "HTTP connections closed since the client took nothing.",
            load(&counters.stalled),
        ),
    ];
    for (name, kind, help, value) in single {
        head(out, &format!("pointstream_http_{name}"), kind, help);
        line(out, format_args!("pointstream_http_{name} {value}"));
    }
    let name = "pointstream_http_responses_total";
    head(out, name, "counter", "HTTP answers by the class of their status.");
    for (class, counter) in (1..).zip(&counters.responses) {
        line(out, format_args!("{name}{{code=\"{class}xx\"}} {}", load(counter)));
    }
}

fn write_topics(topics: &[TopicInfo], out: &mut String) {
    head(out, "pointstream_hub_topics", "gauge", "Topics.");
    line(out, format_args!("pointstream_hub_topics {}", topics.len()));
    for (name, kind, help, value) in TOPIC_METRICS {
        let name = format!("pointstream_hub_{name}");
        head(out, &name, kind, help);
        for topic in topics {
            // The alphabet of an id needs no escapes in a label.
            line(out, format_args!("{name}{{topic=\"{}\"}} {}", topic.id, value(topic)));
        }
    }
}

type Metric = (&'static str, &'static str, &'static str, fn(&TopicInfo) -> u64);

const TOPIC_METRICS: [Metric; 17] = [
    ("subscribers", "gauge", "Subscribers of a topic.", |topic| topic.subscribers as u64),
    ("document_size_bytes", "gauge", "Length of a topic's document.", |topic| {
        topic.document_bytes as u64
    }),
    ("views", "gauge", "Views of a topic besides the whole.", |topic| topic.views as u64),
    ("faulty", "gauge", "Whether a topic's source is in error.", |topic| {
        u64::from(topic.fault.is_some())
    }),
    ("ring_bytes", "gauge", "Bytes of the events kept for resuming.", |topic| {
        topic.ring_bytes as u64
    }),
    ("publications_total", "counter", "Publications that were accepted.", |topic| {
        topic.stats.publications
    }),
    ("unchanged_total", "counter", "Publications that changed nothing.", |topic| {
        topic.stats.unchanged
    }),
    ("patches_total", "counter", "Changes that became a patch.", |topic| topic.stats.patches),
    ("replacements_total", "counter", "Changes that became a whole document.", |topic| {
        topic.stats.replacements
    }),
    ("document_bytes_total", "counter", "Bytes of the whole document at each change.", |topic| {
        topic.stats.document_bytes
    }),
    ("event_bytes_total", "counter", "Bytes of what each change became.", |topic| {
        topic.stats.event_bytes
    }),
    ("delivered_total", "counter", "Events handed to subscribers.", |topic| topic.stats.delivered),
    ("delivered_bytes_total", "counter", "Bytes handed to subscribers.", |topic| {
        topic.stats.delivered_bytes
    }),
    ("conflations_total", "counter", "Slow subscribers given the present document.", |topic| {
        topic.stats.conflations
    }),
    ("skipped_total", "counter", "Changes that those did not see one by one.", |topic| {
        topic.stats.skipped
    }),
    ("resumes_hit_total", "counter", "Resumed without a whole document.", |topic| {
        topic.stats.resumes_hit
    }),
    ("resumes_missed_total", "counter", "Resumed with a whole document.", |topic| {
        topic.stats.resumes_missed
    }),
];

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: impl Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}
