//! Adding points to a configuration file, as a person would: comments and everything else stay.

use std::fmt;
use std::path::{Path, PathBuf};

use pointstream_point::{Id, Kind, Unit};
use serde::Deserialize;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::{Config, ConfigFile, Problems};

/// A point that is to be added to a connector, as a device's tree shows it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NewPoint {
    /// Its name.
    pub id: Id,
    /// Its name for people.
    pub dis: Option<String>,
    /// The kind of its values.
    pub kind: Kind,
    /// The unit of its numbers.
    pub unit: Option<Unit>,
    /// The address of the current value.
    pub cur: Option<String>,
    /// The address to write to.
    pub write: Option<String>,
    /// The address of the history that the device keeps.
    pub his: Option<String>,
}

impl NewPoint {
    /// A point with an address to read.
    pub fn new(id: Id, kind: Kind, cur: impl Into<String>) -> Self {
        Self { id, dis: None, kind, unit: None, cur: Some(cur.into()), write: None, his: None }
    }
}

/// Why a configuration file was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file is no TOML.
    #[error("{0}")]
    Toml(#[from] toml_edit::TomlError),
    /// There is no such connector in the file.
    #[error("the file has no connector {0}")]
    UnknownConnector(Id),
    /// Nothing is to be added, or more than may be at once.
    #[error("between 1 and {max} points are added at a time, not {0}", max = POINTS_MAX)]
    Count(usize),
    /// What would come of it is no configuration.
    #[error("{0}")]
    Problems(Problems),
    /// There is no earlier version.
    #[error("there is no earlier version of {}", .0.display())]
    NoEarlier(PathBuf),
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// How many points are added at a time.
const POINTS_MAX: usize = 10_000;

impl ConfigFile {
    /// Adds points to a connector in the file, below those that it has there. All else in the file stays as
    /// it is, comments included. Nothing is changed unless what comes of it is a configuration.
    ///
    /// The version before is kept beside the file, with `.old` at its end;
    /// [`restore`](Self::restore) brings it back. Whoever watches the file reads it anew.
    ///
    /// # Errors
    ///
    /// What keeps the file from being changed; then it is as it was.
    pub fn add_points(&self, connector: &Id, points: &[NewPoint]) -> Result<(), EditError> {
        let text = read(self.path())?;
        let edited = with_points(&text, connector, points)?;
        let name = self.path().display().to_string();
        let folder = self.path().parent().unwrap_or_else(|| Path::new(""));
        Config::parse(&edited, &name, folder).map_err(EditError::Problems)?;
        write(&self.earlier(), &text)?;
        write(self.path(), &edited)
    }

    /// Brings back the version before the last one that was made here; that one becomes the earlier
    /// version, so that a second call undoes the first.
    ///
    /// # Errors
    ///
    /// There is none, or the file system fails.
    pub fn restore(&self) -> Result<(), EditError> {
        let earlier = self.earlier();
        if !earlier.exists() {
            return Err(EditError::NoEarlier(self.path().to_owned()));
        }
        let (old, text) = (read(&earlier)?, read(self.path())?);
        write(&earlier, &text)?;
        write(self.path(), &old)
    }

    /// Where the earlier version is kept.
    pub fn earlier(&self) -> PathBuf {
        suffixed(self.path(), "old")
    }
}

/// The text with points added to the connector of this id.
fn with_points(text: &str, connector: &Id, points: &[NewPoint]) -> Result<String, EditError> {
    if !(1..=POINTS_MAX).contains(&points.len()) {
        return Err(EditError::Count(points.len()));
    }
    let mut document: DocumentMut = text.parse()?;
    let unknown = || EditError::UnknownConnector(connector.clone());
    let connectors = document.get_mut("connector").and_then(Item::as_array_of_tables_mut);
    let is_it =
        |table: &&mut Table| table.get("id").and_then(Item::as_str) == Some(connector.as_str());
    let table = connectors.ok_or_else(unknown)?.iter_mut().find(is_it).ok_or_else(unknown)?;
    let list = table.entry("point").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let list = list.as_array_of_tables_mut().ok_or_else(unknown)?;
    points.iter().for_each(|point| list.push(point_table(point)));
    Ok(document.to_string())
}

fn point_table(point: &NewPoint) -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix("\n");
    let mut put = |key: &str, text: Option<&dyn fmt::Display>| {
        if let Some(text) = text {
            table.insert(key, value(text.to_string()));
        }
    };
    put("id", Some(&point.id));
    put("dis", point.dis.as_ref().map(|text| text as _));
    put("kind", Some(&point.kind));
    put("unit", point.unit.as_ref().map(|unit| unit as _));
    put("cur", point.cur.as_ref().map(|text| text as _));
    put("write", point.write.as_ref().map(|text| text as _));
    put("his", point.his.as_ref().map(|text| text as _));
    table
}

fn read(path: &Path) -> Result<String, EditError> {
    let failed = |source| EditError::Io { path: path.to_owned(), source };
    super::file::read_text(path).map_err(failed)
}

/// Replaces a file in one step, so that nobody reads half of it, and keeps its permissions.
fn write(path: &Path, text: &str) -> Result<(), EditError> {
    let fresh = suffixed(path, "new");
    let replace = || {
        std::fs::write(&fresh, text)?;
        if let Ok(metadata) = std::fs::metadata(path) {
            std::fs::set_permissions(&fresh, metadata.permissions())?;
        }
        std::fs::File::open(&fresh)?.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    replace().map_err(|source| EditError::Io { path: path.to_owned(), source })
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The plant.\n\
        listen = \"127.0.0.1:0\" # here\n\n\
        [[connector]]\n\
        id = \"ahu\" # the air handler\n\
        kind = \"modbus\"\n\
        uri = \"modbus-tcp://ahu\"\n\n\
        [[connector.point]]\n\
        id = \"ahu.temp\"\n\
        kind = \"Number\"\n\
        cur = \"input:30001:s2\" # tenths\n\n\
        # Another one.\n\
        [[connector]]\n\
        id = \"meter\"\n\
        kind = \"modbus\"\n\
        uri = \"modbus-tcp://meter\"\n";

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    fn point(name: &str) -> NewPoint {
        let mut point = NewPoint::new(id(name), Kind::Number, "input:30002:s2");
        (point.dis, point.unit) = (Some("Return \"air\"".into()), Unit::parse("°C").ok());
        point
    }

    #[test]
    fn points_are_added_below_those_that_are_there_and_all_else_stays() {
        let edited = with_points(TEXT, &id("ahu"), &[point("ahu.return")]).unwrap();
        let added = "\n[[connector.point]]\nid = \"ahu.return\"\ndis = 'Return \"air\"'\nkind = \"Number\"\n\
            unit = \"°C\"\ncur = \"input:30002:s2\"\n";
        let at = TEXT.find("\n# Another one.").unwrap();
        assert_eq!(edited, format!("{}{added}{}", &TEXT[..at], &TEXT[at..]));
        let edited = with_points(TEXT, &id("meter"), &[point("meter.power")]).unwrap();
        assert!(edited.starts_with(TEXT), "{edited}");
        let config = Config::parse(&edited, "test", Path::new("")).unwrap();
        assert_eq!(config.connectors[1].points[0].id, id("meter.power"));
    }

    #[test]
    fn a_file_is_changed_only_to_a_configuration_and_can_be_brought_back() {
        let folder = std::env::temp_dir().join(format!("pointstream-edit-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = ConfigFile::new(folder.join("gateway.toml"));
        std::fs::write(file.path(), TEXT).unwrap();
        let now = || std::fs::read_to_string(file.path()).unwrap();
        assert!(matches!(file.restore(), Err(EditError::NoEarlier(_))));
        let twice = file.add_points(&id("ahu"), &[point("ahu.temp")]).unwrap_err();
        assert!(matches!(twice, EditError::Problems(_)), "{twice}");
        let unknown = file.add_points(&id("none"), &[point("x")]).unwrap_err();
        assert_eq!(unknown.to_string(), "the file has no connector none");
        assert!(matches!(file.add_points(&id("ahu"), &[]), Err(EditError::Count(0))));
        assert_eq!(now(), TEXT, "nothing has changed so far");
        file.add_points(&id("ahu"), &[point("ahu.return")]).unwrap();
        let added = now();
        assert!(added.contains("ahu.return"));
        file.restore().unwrap();
        assert_eq!(now(), TEXT);
        file.restore().unwrap();
        assert_eq!(now(), added, "once more undoes it");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
