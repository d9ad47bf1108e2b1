//! The places of problems that show only when a configuration is used.

use pointstream_point::{Fault, Id};
use toml::Spanned;

use super::raw::File;
use super::{Config, Problem, Source};
use crate::gateway::ApplyError;

impl Config {
    /// Why this configuration was refused, with the place in its file if it came from one.
    pub fn locate(&self, error: &ApplyError) -> Problem {
        let Some(source) = &self.source else { return Problem::of_file("configuration", error) };
        let at = match error {
            ApplyError::Driver { connector, error } => {
                source.connector(connector, &error.to_string())
            }
            ApplyError::Tuning { connector, .. } | ApplyError::PointTwice { connector, .. } => {
                source.connector(connector, "")
            }
            _ => None,
        };
        Problem::at(&source.name, &source.text, at.map(|at| at..at), error)
    }

    /// A fault of a point, with its place.
    pub fn locate_point(&self, id: &Id, fault: &Fault) -> Problem {
        let message = format!("point {id}: {fault}");
        let Some(source) = &self.source else { return Problem::of_file("configuration", message) };
        if let Some(at) = source.point(id) {
            return Problem::at(&source.name, &source.text, Some(at..at), message);
        }
        let in_csv = source.points.iter().find_map(|path| {
            let text = super::file::read_text(path).ok()?;
            let has = |line: &str| line.split(',').any(|cell| cell.trim() == id.as_str());
            let line = text.lines().position(has)?;
            Some((path.display().to_string(), line + 1))
        });
        match in_csv {
            Some((file, line)) => Problem { file, place: Some((line, 1)), message },
            None => Problem::of_file(&source.name, message),
        }
    }
}

impl Source {
    /// Where the connector of this id says what the message is about: the key that the message
    /// names in backticks, if the connector has it, else its id.
    fn connector(&self, id: &Id, message: &str) -> Option<usize> {
        let file: File = toml::from_str(&self.text).ok()?;
        let table = file.connector.iter().find(|table| table.get_ref().id.get_ref() == id)?;
        let named = message.split('`').nth(1).and_then(|key| {
            let mut offset = self.text[..table.get_ref().id.span().start].rfind("[[connector]]")?;
            for (at, line) in self.text[offset..].split_inclusive('\n').enumerate() {
                let indent = line.len() - line.trim_start().len();
                let code = line.trim_start();
                if at > 0 && code.starts_with('[') {
                    break;
                }
                if code.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')) {
                    return Some(offset + indent);
                }
                offset += line.len();
            }
            None
        });
        named.or_else(|| Some(table.get_ref().id.span().start))
    }

    /// Where the point of this id is.
    fn point(&self, id: &Id) -> Option<usize> {
        let file: File = toml::from_str(&self.text).ok()?;
        let mut points = file.connector.iter().flat_map(|table| &table.get_ref().point);
        let found = points.find(|point| point.get_ref().id.get_ref() == id);
        found.map(Spanned::span).map(|span| span.start)
    }
}
