//! From the text of a file to a [`Config`], with the place of every problem.

use core::ops::Range;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointstream_point::{EnumDef, EnumDefs, Id, PointSpec, Schedule, Tag, Tuning, Unit, Value};
use pointstream_points::Filter;
use toml::Spanned;

use super::raw::{
    ConnectorTable, EnumTable, File, PointTable, Quantity, ScheduleName, TopicTable, TuningTable,
};
use super::{
    Config, ConnectorConfig, DUP_PREF, Problem, Problems, PublishConfig, Source, TopicConfig,
    csv_points,
};

/// How large a configuration file may be.
const FILE_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Where the access token is kept, beside the configuration.
const TOKEN_FILE: &str = "pointstream.token";

impl Config {
    /// Reads a configuration from a TOML file, and the CSV files that its connectors name.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, with its place. Nothing is taken from a file that has a problem.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        Self::read_with(path, &mut Vec::new())
    }

    /// As [`read`](Self::read); gives the files that the connectors name also where there is a
    /// problem, so that its being mended in one of them is noticed.
    pub(super) fn read_with(path: &Path, files: &mut Vec<PathBuf>) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let text = read_text(path).map_err(|error| Problem::of_file(&name, error))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let mut config = Self::parse_with(&text, &name, folder, files, None)?;
        config.path = Some(path.to_owned());
        Ok(config)
    }

    /// Reads a configuration from the text of a TOML file. `name` stands before each problem;
    /// CSV files are looked for in `dir`.
    pub fn parse(text: &str, name: &str, dir: &Path) -> Result<Self, Problems> {
        Self::parse_with(text, name, dir, &mut Vec::new(), None)
    }

    /// As [`parse`](Self::parse), as if one of the CSV files had this text.
    pub(super) fn parse_edited(
        text: &str,
        name: &str,
        dir: &Path,
        edited: (&Path, &str),
    ) -> Result<Self, Problems> {
        Self::parse_with(text, name, dir, &mut Vec::new(), Some(edited))
    }

    fn parse_with(
        text: &str,
        name: &str,
        dir: &Path,
        files: &mut Vec<PathBuf>,
        edited: Option<(&Path, &str)>,
    ) -> Result<Self, Problems> {
        let file: File = toml::from_str(text).map_err(|error| {
            Problem::at(name, text, error.span(), error.message().trim().replace('\n', " "))
        })?;
        let (files_read, problems) = (Vec::new(), Vec::new());
        let mut reader =
            Reader { name, text, dir, edited, files: files_read, problems, line: (0, 1) };
        let mut config = reader.config(file);
        files.extend_from_slice(&reader.files);
        Problems::check(reader.problems)?;
        let (name, text) = (name.to_owned(), text.to_owned());
        config.source = Some(Arc::new(Source { name, text, points: reader.files }));
        Ok(config)
    }
}

pub(super) fn read_text(path: &Path) -> std::io::Result<String> {
    let len = std::fs::metadata(path)?.len();
    if len > FILE_LEN_MAX {
        let text = format!("the file has {len} bytes, more than the {FILE_LEN_MAX} allowed");
        return Err(std::io::Error::other(text));
    }
    std::fs::read_to_string(path)
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    dir: &'a Path,
    /// A CSV file as it is to be, which is not written so far.
    edited: Option<(&'a Path, &'a str)>,
    files: Vec<PathBuf>,
    problems: Vec<Problem>,
    /// A place in the text and its line. Ids come in the text's order, so that the lines of all of them
    /// are found in one pass.
    line: (usize, usize),
}

impl Reader<'_> {
    fn config(&mut self, file: File) -> Config {
        let mut config = Config {
            listen: file.listen,
            allowed_hosts: file.allowed_hosts,
            allowed_origins: file.allowed_origins,
            token_file: Some(self.dir.join(file.token_file.unwrap_or_else(|| TOKEN_FILE.into()))),
            ..Config::default()
        };
        config.store = file.store.map(|path| self.dir.join(path));
        config.history.keep_days = file.history.keep_days;
        if let Some(bytes) = file.history.bytes_max {
            config.history.bytes_max = bytes;
        }
        config.steady_time = file.steady_time;
        config.enums = Arc::new(self.enums(file.enums));
        let tunings = file.tuning.into_iter();
        config.tunings = tunings.map(|(id, table)| (id.into_inner(), tuning(table))).collect();
        let mut seen = Seen::default();
        for table in file.connector {
            let connector = self.connector(table, &config.tunings, &mut seen);
            config.connectors.push(connector);
        }
        for table in file.point {
            let (span, id) = (table.span(), table.get_ref().id.get_ref().clone());
            let point = self.point(table, &config.tunings, &mut seen);
            if point.cur.is_some() || point.write.is_some() {
                let message = format!("the point {id} has an address: put it under its connector");
                self.problem(Some(span), message);
            }
            config.points.push(Arc::new(point));
        }
        for table in file.publish {
            let table = table.into_inner();
            self.once(&mut seen.publishers, &table.id, "publisher");
            let mut publish = PublishConfig::new(table.id.into_inner(), table.kind, table.prefix);
            (publish.topics, publish.points) = (table.topics, table.points);
            publish.snapshot_time = table.snapshot_time.unwrap_or(publish.snapshot_time);
            publish.options = table.options;
            config.publish.push(publish);
        }
        for table in file.topic {
            let topic = self.topic(table.into_inner(), &mut seen);
            config.topics.push(topic);
        }
        for table in file.source {
            let span = table.span();
            let table = table.into_inner();
            self.once(&mut seen.topics, &table.id, "topic");
            #[cfg(feature = "poll")]
            match table.resolve() {
                Ok(source) => config.sources.push(source),
                Err(message) => self.problem(Some(span), message),
            }
            #[cfg(not(feature = "poll"))]
            self.problem(Some(span), "sources need the feature poll");
        }
        #[cfg(feature = "mqtt")]
        for table in file.sparkplug {
            let span = table.span();
            match super::SparkplugNode::read(table.into_inner()) {
                Ok(node) if config.sparkplug.iter().any(|other| other.id == node.id) => {
                    let text = format!("the node {} exists already", node.id.source());
                    self.problem(Some(span), text);
                }
                Ok(node) => config.sparkplug.push(node),
                Err(error) => self.problem(Some(span), format_args!("sparkplug: {error}")),
            }
        }
        config
    }

    fn enums(&mut self, tables: BTreeMap<Spanned<String>, EnumTable>) -> EnumDefs {
        let mut defs = EnumDefs::new();
        for (name, table) in tables {
            let def = match table {
                EnumTable::Text(text) => EnumDef::from_tag(&text),
                EnumTable::Names(names) => EnumDef::new(names.into_iter().map(|name| (name, None))),
                EnumTable::Codes(codes) => {
                    EnumDef::new(codes.into_iter().map(|(name, code)| (name, Some(code))))
                }
            };
            let added = def.and_then(|def| defs.insert(name.get_ref(), def));
            if let Err(error) = added {
                self.problem(Some(name.span()), format_args!("enum {}: {error}", name.get_ref()));
            }
        }
        defs
    }

    fn connector(
        &mut self,
        table: Spanned<ConnectorTable>,
        tunings: &BTreeMap<Id, Tuning>,
        seen: &mut Seen,
    ) -> ConnectorConfig {
        let table = table.into_inner();
        let id = table.id.get_ref().clone();
        self.once(&mut seen.connectors, &table.id, "connector");
        self.known_tuning(table.tuning.as_ref(), tunings);
        let mut connector = ConnectorConfig::new(id, table.kind.into_inner());
        let defaults = connector.clone();
        connector.dis = table.dis;
        connector.disabled = table.disabled;
        connector.tuning = table.tuning.map(Spanned::into_inner);
        connector.open_retry = table.open_retry.unwrap_or(defaults.open_retry);
        connector.linger = table.linger.unwrap_or(defaults.linger);
        connector.op_timeout = table.op_timeout.unwrap_or(defaults.op_timeout);
        connector.ping_freq = table.ping_freq;
        connector.poll_freq = table.poll_freq;
        connector.driver = table.driver;
        for point in table.point {
            let point = self.point(point, tunings, seen);
            connector.points.push(Arc::new(point));
        }
        if let Some(path) = table.points {
            let points = self.csv(&path, tunings, seen);
            connector.points.extend(points.into_iter().map(Arc::new));
        }
        connector
    }

    fn point(
        &mut self,
        table: Spanned<PointTable>,
        tunings: &BTreeMap<Id, Tuning>,
        seen: &mut Seen,
    ) -> PointSpec {
        let span = table.span();
        let table = table.into_inner();
        self.known_tuning(table.tuning.as_ref(), tunings);
        let mut spec = PointSpec::new(table.id.get_ref().clone(), table.kind);
        spec.more.dis = table.dis.map(Into::into);
        spec.unit = table.unit;
        spec.cur = table.cur.map(Into::into);
        spec.write = table.write.map(Into::into);
        (spec.more.min, spec.more.max, spec.more.step) = (table.min, table.max, table.step);
        spec.disabled = table.disabled;
        spec.more.his = table.his.map(Into::into);
        spec.more.his_convert = table.his_convert.map(Into::into);
        spec.more.cur_convert = table.cur_convert.map(Into::into);
        spec.more.write_convert = table.write_convert.map(Into::into);
        if let Some(quantity) = table.cur_calibration {
            match calibration(quantity.get_ref()) {
                Ok(value) => spec.more.cur_calibration = Some(value),
                Err(message) => self.problem(Some(quantity.span()), message),
            }
        }
        spec.more.write_limit = table.write_limit;
        spec.more.writable = table.writable;
        spec.more.cur_tracks_write = table.cur_tracks_write;
        spec.more.tuning = table.tuning.map(Spanned::into_inner);
        for tag in table.tags {
            match parse_tag(tag.get_ref()) {
                Ok((name, value)) => drop(spec.more.tags.set(name, value)),
                Err(message) => self.problem(Some(tag.span()), message),
            }
        }
        if let Some(message) = range_problem(&spec) {
            self.problem(Some(span), message);
        }
        spec.more.trim();
        if !seen.may_repeat(&spec) {
            self.once(&mut seen.points, &table.id, "point");
        }
        spec
    }

    fn csv(
        &mut self,
        path: &Spanned<PathBuf>,
        tunings: &BTreeMap<Id, Tuning>,
        seen: &mut Seen,
    ) -> Vec<PointSpec> {
        let file = self.dir.join(path.get_ref());
        let name = file.display().to_string();
        self.files.push(file.clone());
        let edited = self.edited.filter(|(path, _)| *path == file).map(|(_, text)| text.to_owned());
        let text = match edited.map_or_else(|| read_text(&file), Ok) {
            Ok(text) => text,
            Err(error) => {
                self.problem(Some(path.span()), format_args!("cannot read {name}: {error}"));
                return Vec::new();
            }
        };
        let mut points = Vec::new();
        for row in csv_points::parse(&text) {
            let checked = row.and_then(|(line, spec)| {
                let unknown = spec.more.tuning.as_ref().filter(|id| !tunings.contains_key(*id));
                if let Some(id) = unknown {
                    return Err((line, format!("unknown tuning {id}")));
                }
                if !seen.may_repeat(&spec)
                    && let Some(before) = seen.points.insert(spec.id.clone(), (name.clone(), line))
                {
                    let text = format!("the point {} exists already, at {}", spec.id, at(&before));
                    return Err((line, text));
                }
                range_problem(&spec).map_or(Ok(spec), |message| Err((line, message)))
            });
            match checked {
                Ok(spec) => points.push(spec),
                Err((line, message)) => self.problems.push(Problem {
                    file: name.clone(),
                    place: Some((line, 1)),
                    message,
                }),
            }
        }
        points
    }

    fn topic(&mut self, table: TopicTable, seen: &mut Seen) -> TopicConfig {
        self.once(&mut seen.topics, &table.id, "topic");
        if let Some(filter) = &table.filter
            && let Err(error) = Filter::parse(filter.get_ref())
        {
            self.problem(Some(filter.span()), error);
        }
        let mut topic = TopicConfig::new(table.id.into_inner());
        topic.filter = table.filter.map(Spanned::into_inner);
        topic.watch = table.watch;
        topic
    }

    fn once(&mut self, seen: &mut BTreeMap<Id, (String, usize)>, id: &Spanned<Id>, what: &str) {
        let line = self.line_of(id.span().start);
        if let Some(before) = seen.insert(id.get_ref().clone(), (self.name.to_owned(), line)) {
            let message = format!("the {what} {} exists already, at {}", id.get_ref(), at(&before));
            self.problem(Some(id.span()), message);
        }
    }

    fn line_of(&mut self, at: usize) -> usize {
        let (start, line) = if self.line.0 <= at { self.line } else { (0, 1) };
        let between = self.text.as_bytes().get(start..at).unwrap_or_default();
        let line = line + between.iter().filter(|&&byte| byte == b'\n').count();
        self.line = (at, line);
        line
    }

    fn known_tuning(&mut self, id: Option<&Spanned<Id>>, tunings: &BTreeMap<Id, Tuning>) {
        let unknown = id.filter(|id| !tunings.contains_key(id.get_ref()));
        if let Some(id) = unknown {
            let message = format!("unknown tuning {0}: add a table [tuning.{0}]", id.get_ref());
            self.problem(Some(id.span()), message);
        }
    }

    fn problem(&mut self, span: Option<Range<usize>>, message: impl core::fmt::Display) {
        self.problems.push(Problem::at(self.name, self.text, span, message));
    }
}

/// Where each id was seen first.
#[derive(Default)]
struct Seen {
    connectors: BTreeMap<Id, (String, usize)>,
    points: BTreeMap<Id, (String, usize)>,
    topics: BTreeMap<Id, (String, usize)>,
    publishers: BTreeMap<Id, (String, usize)>,
}

impl Seen {
    /// Whether a point may stand under several connectors, of which it prefers one.
    fn may_repeat(&self, spec: &PointSpec) -> bool {
        spec.more.tags.get(DUP_PREF).is_some()
    }
}

/// The options of a tuning.
fn tuning(table: TuningTable) -> Tuning {
    let mut tuning = Tuning::default()
        .with_write_on_open(table.write_on_open)
        .with_write_on_start(table.write_on_start);
    if let Some(poll_time) = table.poll_time {
        tuning = tuning.with_poll_time(poll_time);
    }
    if let Some(stale_time) = table.stale_time {
        tuning = tuning.with_stale_time(stale_time);
    }
    if let Some(ScheduleName::Delay) = table.poll_schedule {
        tuning = tuning.with_poll_schedule(Schedule::Delay);
    }
    if let Some(min_time) = table.write_min_time {
        tuning = tuning.with_write_min_time(min_time);
    }
    if let Some(max_time) = table.write_max_time {
        tuning = tuning.with_write_max_time(max_time);
    }
    tuning
}

/// A calibration: a number, or a text of a number and its unit.
fn calibration(quantity: &Quantity) -> Result<Value, String> {
    match quantity {
        Quantity::Number(number) => Ok(Value::number(*number)),
        Quantity::Text(text) => parse_quantity(text),
    }
}

/// A number with its unit, if it has one, as `0.5 Δ°C` or `0.5Δ°C`.
pub(super) fn parse_quantity(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c)));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let number: f64 = number.parse().map_err(|_| format!("not a number: {text:?}"))?;
    let unit = match unit.trim() {
        "" => None,
        unit => Some(Unit::parse(unit).map_err(|error| format!("{error}, not {unit:?}"))?),
    };
    Ok(Value::Number(number, unit))
}

fn at((file, line): &(String, usize)) -> String {
    format!("{file}:{line}")
}

/// A tag as it is written in a list: `name` for a marker, `name:value` for a number, a boolean or
/// text.
pub(super) fn parse_tag(text: &str) -> Result<(&str, Tag), String> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let legal = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !legal {
        let rule = "a tag's name begins with a-z and goes on with A-Z a-z 0-9 _";
        return Err(format!("{text:?} is not a tag: {rule}"));
    }
    let tag = match value {
        None => Tag::Marker,
        Some("true") => Tag::Value(Value::Bool(true)),
        Some("false") => Tag::Value(Value::Bool(false)),
        Some(text) => Tag::Value(match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::number(number),
            _ => Value::str(text.trim_matches('"')),
        }),
    };
    Ok((name, tag))
}

fn range_problem(spec: &PointSpec) -> Option<String> {
    let finite = |number: Option<f64>| number.is_none_or(f64::is_finite);
    if !finite(spec.more.min) || !finite(spec.more.max) || !finite(spec.more.step) {
        return Some("min, max and step must be finite numbers".to_owned());
    }
    if let (Some(min), Some(max)) = (spec.more.min, spec.more.max)
        && min > max
    {
        return Some(format!("min {min} is above max {max}"));
    }
    spec.more.step.filter(|&step| step <= 0.0).map(|step| format!("step {step} is not above zero"))
}
