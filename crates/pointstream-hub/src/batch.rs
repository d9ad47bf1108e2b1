use pointstream_patch::{Document, Limits};

use crate::{Error, text};

/// One publication of several that came together.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BatchEntry {
    /// The topic.
    pub topic: String,
    /// What is published to it, JSON text.
    pub data: String,
}

/// Reads publications that came together: an array of `{"topic": …, "data": …}`, or such objects on
/// lines of their own. The data keep the text that they have.
///
/// # Errors
///
/// What is longer than `bytes_max`, not JSON, or not that.
pub fn split_batch(batch: &[u8], bytes_max: usize) -> Result<Vec<BatchEntry>, Error> {
    if batch.len() > bytes_max {
        return Err(Error::DocumentTooLarge { len: batch.len(), max: bytes_max });
    }
    let mut limits = Limits::default();
    limits.bytes_max = bytes_max;
    if batch.trim_ascii_start().starts_with(b"[") {
        let document = Document::parse(batch, &limits)?;
        return text::elements(document.text()).map(entry).collect();
    }
    let lines = (1..).zip(batch.split(|&byte| byte == b'\n'));
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(line, text)| {
            let read = Document::parse(text, &limits).map_err(Error::from);
            let read = read.and_then(|document| entry(document.text()));
            read.map_err(|error| Error::Line { line, error: Box::new(error) })
        })
        .collect()
}

fn entry(object: &str) -> Result<BatchEntry, Error> {
    let topic = text::member(object, "topic").map(str::trim);
    let topic = topic.and_then(|topic| topic.strip_prefix('"')?.strip_suffix('"'));
    let topic = topic.ok_or(Error::NotBatch)?;
    let data = text::member(object, "data").ok_or(Error::NotBatch)?;
    Ok(BatchEntry { topic: text::decode(topic).into_owned(), data: data.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(batch: &str) -> Result<Vec<(String, String)>, Error> {
        let entries = split_batch(batch.as_bytes(), 100)?;
        Ok(entries.into_iter().map(|entry| (entry.topic, entry.data)).collect())
    }

    #[test]
    fn a_batch_is_an_array_or_lines() {
        let two = [("a", "1.50"), ("b", "{\"x\": [2]}")].map(|(a, b)| (a.into(), b.into()));
        let array = r#"[{"topic":"a","data":1.50},{"data":{"x": [2]},"topic":"\u0062"}]"#;
        assert_eq!(split(array).unwrap(), two);
        let lines = "{\"topic\":\"a\",\"data\":1.50}\r\n\n{\"topic\":\"b\",\"data\":{\"x\": [2]}}";
        assert_eq!(split(lines).unwrap(), two);
        assert_eq!(split("[]").unwrap(), []);
        assert_eq!(split(" \n").unwrap(), []);
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        for bad in [
            "[1]",
            "[{\"topic\":\"a\"}]",
            "[{\"topic\":1,\"data\":1}]",
            "[",
            "{\"topic\":\"a\"}",
            "1",
        ] {
            assert!(split(bad).is_err(), "{bad}");
        }
        assert!(split(&format!("[{}]", " ".repeat(98))).is_ok());
        assert!(split(&format!("[{}]", " ".repeat(99))).is_err(), "one byte above the limit");
    }
}
