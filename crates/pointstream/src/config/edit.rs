//! Adding points to a configuration file, as a person would: comments and everything else stay.

use std::fmt;
use std::path::{Path, PathBuf};

use pointstream_point::{Id, Kind, Unit};
use serde::Deserialize;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::{Config, ConfigFile, Problems, csv_points};

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
    /// The connector has no file of points.
    #[error("the connector {0} has no file of points")]
    NoPointFile(Id),
    /// The file of points is no CSV.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: csv::Error,
    },
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
        Config::parse(&edited, &name, self.folder()).map_err(EditError::Problems)?;
        write(&self.earlier(), &text)?;
        write(self.path(), &edited)
    }

    /// Adds points to the CSV file that a connector names in `points`, as rows at its end. All else in
    /// that file stays as it is, comments included; columns that it lacks come last. Nothing is
    /// changed unless what comes of it is a configuration.
    ///
    /// The version before is kept beside the file, with `.old` at its end;
    /// [`restore_points`](Self::restore_points) brings it back.
    ///
    /// # Errors
    ///
    /// What keeps the file from being changed; then it is as it was.
    pub fn add_points_to_file(&self, connector: &Id, points: &[NewPoint]) -> Result<(), EditError> {
        check_count(points)?;
        let none = || EditError::NoPointFile(connector.clone());
        let path = self.point_file(connector)?.ok_or_else(none)?;
        let text = read(&path)?;
        let failed = |source| EditError::Csv { path: path.clone(), source };
        let edited = csv_points::with_points(&text, points).map_err(failed)?;
        let whole = read(self.path())?;
        let name = self.path().display().to_string();
        let edit = (path.as_path(), edited.as_str());
        Config::parse_edited(&whole, &name, self.folder(), edit).map_err(EditError::Problems)?;
        write(&suffixed(&path, "old"), &text)?;
        write(&path, &edited)
    }

    /// The CSV file that a connector names in `points`, if it names one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no such connector.
    pub fn point_file(&self, connector: &Id) -> Result<Option<PathBuf>, EditError> {
        let mut document: DocumentMut = read(self.path())?.parse()?;
        let table = connector_table(&mut document, connector)?;
        let path = table.get("points").and_then(Item::as_str);
        Ok(path.map(|path| self.folder().join(path)))
    }

    /// Brings back the version of a connector's CSV file before the last one that was made here, as
    /// [`restore`](Self::restore) does.
    ///
    /// # Errors
    ///
    /// There is none, or the file system fails.
    pub fn restore_points(&self, connector: &Id) -> Result<(), EditError> {
        let none = || EditError::NoPointFile(connector.clone());
        swap(&self.point_file(connector)?.ok_or_else(none)?)
    }

    /// Brings back the version before the last one that was made here; that one becomes the earlier
    /// version, so that a second call undoes the first.
    ///
    /// # Errors
    ///
    /// There is none, or the file system fails.
    pub fn restore(&self) -> Result<(), EditError> {
        swap(self.path())
    }

    /// Where the earlier version is kept.
    pub fn earlier(&self) -> PathBuf {
        suffixed(self.path(), "old")
    }

    fn folder(&self) -> &Path {
        self.path().parent().unwrap_or_else(|| Path::new(""))
    }
}

/// Has a file and its earlier version change places.
fn swap(path: &Path) -> Result<(), EditError> {
    let earlier = suffixed(path, "old");
    if !earlier.exists() {
        return Err(EditError::NoEarlier(path.to_owned()));
    }
    let (old, text) = (read(&earlier)?, read(path)?);
    write(&earlier, &text)?;
    write(path, &old)
}

fn check_count(points: &[NewPoint]) -> Result<(), EditError> {
    let fits = (1..=POINTS_MAX).contains(&points.len());
    if fits { Ok(()) } else { Err(EditError::Count(points.len())) }
}

/// The text with points added to the connector of this id.
fn with_points(text: &str, connector: &Id, points: &[NewPoint]) -> Result<String, EditError> {
    check_count(points)?;
    let mut document: DocumentMut = text.parse()?;
    let unknown = || EditError::UnknownConnector(connector.clone());
    let table = connector_table(&mut document, connector)?;
    let list = table.entry("point").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let list = list.as_array_of_tables_mut().ok_or_else(unknown)?;
    points.iter().for_each(|point| list.push(point_table(point)));
    Ok(document.to_string())
}

fn connector_table<'a>(
    document: &'a mut DocumentMut,
    connector: &Id,
) -> Result<&'a mut Table, EditError> {
    let unknown = || EditError::UnknownConnector(connector.clone());
    let connectors = document.get_mut("connector").and_then(Item::as_array_of_tables_mut);
    let is_it =
        |table: &&mut Table| table.get("id").and_then(Item::as_str) == Some(connector.as_str());
    connectors.ok_or_else(unknown)?.iter_mut().find(is_it).ok_or_else(unknown)
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
        let none = file.add_points_to_file(&id("ahu"), &[point("x")]).unwrap_err();
        assert_eq!(none.to_string(), "the connector ahu has no file of points");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn points_go_into_the_file_of_points_which_can_be_brought_back() {
        let folder = std::env::temp_dir().join(format!("pointstream-csv-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut file = ConfigFile::new(folder.join("gateway.toml"));
        let text = TEXT.replace("//meter\"\n", "//meter\"\npoints = \"meter.csv\"\n");
        std::fs::write(file.path(), &text).unwrap();
        let (meter, csv) = (id("meter"), folder.join("meter.csv"));
        assert_eq!(file.point_file(&meter).unwrap().as_deref(), Some(csv.as_path()));
        assert_eq!(file.point_file(&id("ahu")).unwrap(), None);
        let rows = "# The meter.\nid,kind,cur\nm.power,Number,input:1\n";
        std::fs::write(&csv, rows).unwrap();
        let now = || std::fs::read_to_string(&csv).unwrap();
        for twice in ["m.power", "ahu.temp"] {
            let error = file.add_points_to_file(&meter, &[point(twice)]).unwrap_err().to_string();
            assert!(error.contains("exists already"), "{twice}: {error}");
        }
        assert!(matches!(file.restore_points(&meter), Err(EditError::NoEarlier(_))));
        assert_eq!(now(), rows, "nothing has changed so far");
        file.add_points_to_file(&meter, &[point("m.temp")]).unwrap();
        let config = file.read().unwrap();
        assert_eq!(config.connectors[1].points[1].dis(), "Return \"air\"");
        assert!(
            now().starts_with("# The meter.\nid,kind,cur,dis,unit\nm.power,Number,input:1,,\n")
        );
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), text);
        file.restore_points(&meter).unwrap();
        assert_eq!(now(), rows);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
