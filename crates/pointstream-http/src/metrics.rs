use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    pub(crate) delays: Arc<Delays>,
}

/// How long events took from their publication to their being written, counted by bounds.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    counts: [AtomicU64; DELAYS.len() + 1],
    micros: AtomicU64,
}

impl Delays {
    /// Notes that an event took so long to each of `count` subscribers.
    pub(crate) fn note(&self, delay: Duration, count: u64) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let at = DELAYS.iter().position(|(bound, _)| micros <= *bound).unwrap_or(DELAYS.len());
        if let Some(counter) = self.counts.get(at) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros.saturating_mul(count), Ordering::Relaxed);
    }

    fn write(&self, out: &mut String) {
        let name = "pointstream_hub_delivery_seconds";
        let help = "From a publication to its having been written to those who had all before it.";
        head(out, name, "histogram", help);
        let mut within = 0;
        let bounds = DELAYS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (bound, counter) in bounds.zip(&self.counts) {
            within += counter.load(Ordering::Relaxed);
            line(out, format_args!("{name}_bucket{{le=\"{bound}\"}} {within}"));
        }
        let micros = self.micros.load(Ordering::Relaxed);
        line(out, format_args!("{name}_sum {}.{:06}", micros / 1_000_000, micros % 1_000_000));
        line(out, format_args!("{name}_count {within}"));
    }
}

/// Bounds in microseconds, and as seconds.
const DELAYS: [(u64, &str); 11] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (2_000_000, "2"),
];

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
    counters.delays.write(out);
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

const TOPIC_METRICS: [Metric; 21] = [
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
    ("fetches_total", "counter", "Times a topic's source was asked.", |topic| topic.stats.fetches),
    ("fetches_unchanged_total", "counter", "Answers that nothing has changed.", |topic| {
        topic.stats.fetches_unchanged
    }),
    ("fetches_failed_total", "counter", "Answers that were none or of no use.", |topic| {
        topic.stats.fetches_failed
    }),
    ("fetch_microseconds_total", "counter", "What answers of sources took together.", |topic| {
        topic.stats.fetch_micros
    }),
];

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: impl Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_counted_by_their_bounds() {
        let delays = Delays::default();
        for (micros, count) in [(0, 1), (100, 2), (101, 3), (2_000_000, 4), (2_000_001, 5)] {
            delays.note(Duration::from_micros(micros), count);
        }
        let mut text = String::new();
        delays.write(&mut text);
        for expected in [
            "_bucket{le=\"0.0001\"} 3\n",
            "_bucket{le=\"0.00025\"} 6\n",
            "_bucket{le=\"0.5\"} 6\n",
            "_bucket{le=\"2\"} 10\n",
            "_bucket{le=\"+Inf\"} 15\n",
            "_count 15\n",
            "_sum 18.000508\n",
        ] {
            assert!(text.contains(expected), "{expected}{text}");
        }
    }
}
