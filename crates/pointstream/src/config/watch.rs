use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::collections::BTreeMap;
use std::hash::DefaultHasher;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Config, Problems};

/// A configuration file and the CSV files that it names, watched for changes.
///
/// The files are looked at now and then rather than by the operating system's notices, since those
/// do not come from network file systems or for files that editors replace.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    /// What each file held when it was read last, as a hash: a large site's files are many megabytes.
    seen: BTreeMap<PathBuf, Option<u64>>,
    stamps: BTreeMap<PathBuf, Stamp>,
}

/// What changes when somebody writes a file, without reading it.
type Stamp = Option<(SystemTime, u64)>;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl ConfigFile {
    /// The file at `path`. Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), seen: BTreeMap::new(), stamps: BTreeMap::new() }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the configuration and remembers the content of all its files.
    ///
    /// # Errors
    ///
    /// See [`Config::read`].
    pub fn read(&mut self) -> Result<Config, Problems> {
        let mut paths = Vec::new();
        let config = Config::read_with(&self.path, &mut paths);
        if config.is_err() {
            // The files that mattered before go on mattering until the problem is mended.
            paths.extend(self.seen.keys().cloned());
        }
        paths.push(self.path.clone());
        self.stamps = paths.iter().map(|path| (path.clone(), stamp(path))).collect();
        self.seen = paths.into_iter().map(|path| (path.clone(), content(&path))).collect();
        config
    }

    /// Waits until the content of a file is another one than when it was read last, and stays the
    /// same from one look to the next, so that no half-written file is taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn changed(&self) {
        let mut before = self.stamps.clone();
        let mut moved = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.stamps.keys().map(|path| (path.clone(), stamp(path))).collect();
            if now != before {
                (before, moved) = (now, true);
            } else if core::mem::take(&mut moved)
                && self.seen.iter().any(|(path, seen)| content(path) != *seen)
            {
                return;
            }
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn content(path: &Path) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    std::fs::read(path).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}
