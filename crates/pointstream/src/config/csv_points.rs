//! Points in a CSV file: a header row, then a point a row.

mod add;

pub(super) use add::with_points;

use pointstream_point::{Id, PointSpec, Tag, Unit, duration};

use super::file::{parse_quantity, parse_tag};

/// The columns, by the names of the keys in TOML. `id` and `kind` are required.
pub(super) const COLUMNS: [&str; 26] = [
    "id",
    "dis",
    "kind",
    "unit",
    "cur",
    "write",
    "his",
    "cur_convert",
    "write_convert",
    "his_convert",
    "cur_calibration",
    "writable",
    "cur_tracks_write",
    "write_limit",
    "min",
    "max",
    "step",
    "disabled",
    "tuning",
    "hisCollectInterval",
    "hisCollectCov",
    "hisCollectCovRateLimit",
    "hisCollectNA",
    "hisCollectWriteFreq",
    "hisTsPrecision",
    "tags",
];

/// The columns that stand for tags of their names: `true` for one without a value.
const TAG_COLUMNS: core::ops::Range<usize> = 19..25;

type Row = Result<(usize, PointSpec), (usize, String)>;

/// The points of a file, each with its line, or what is wrong in that line.
pub(super) fn parse(text: &str) -> Vec<Row> {
    let mut reader = reader(text);
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => return vec![Err((1, error.to_string()))],
    };
    if let Some(unknown) = headers.iter().find(|name| !COLUMNS.contains(name)) {
        let message = format!("unknown column {unknown:?}: expected {}", COLUMNS.join(", "));
        return vec![Err((1, message))];
    }
    for required in ["id", "kind"] {
        if !headers.iter().any(|name| name == required) {
            return vec![Err((1, format!("the column {required:?} is missing")))];
        }
    }
    let row = |record: Result<csv::StringRecord, csv::Error>| match record {
        Ok(record) => {
            let line = record.position().map_or(0, |position| line_of(text, position));
            point(&headers, &record).map(|spec| (line, spec)).map_err(|message| (line, message))
        }
        Err(error) => {
            let line = error.position().map_or(0, |position| line_of(text, position));
            Err((line, error.to_string()))
        }
    };
    reader.records().map(row).collect()
}

fn reader(text: &str) -> csv::Reader<impl std::io::Read + '_> {
    let mut builder = csv::ReaderBuilder::new();
    // A comment that ends without a line break would be a record otherwise.
    let bytes = std::io::Read::chain(text.as_bytes(), &b"\n"[..]);
    builder.trim(csv::Trim::All).comment(Some(b'#')).from_reader(bytes)
}

/// The line in which a record begins. The reader's own position is before the blank lines and the
/// comments that it skips.
fn line_of(text: &str, position: &csv::Position) -> usize {
    let at = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let skipped = |line: &&str| line.trim().is_empty() || line.starts_with('#');
    let skipped = text.get(at..).unwrap_or_default().lines().take_while(skipped).count();
    usize::try_from(position.line()).unwrap_or(0) + skipped
}

fn point(headers: &csv::StringRecord, record: &csv::StringRecord) -> Result<PointSpec, String> {
    let cell = |name: &str| {
        let at = headers.iter().position(|header| header == name)?;
        record.get(at).filter(|cell| !cell.is_empty())
    };
    let required = |name: &str| cell(name).ok_or_else(|| format!("the cell {name:?} is empty"));
    let number = |name: &str| {
        let parse =
            |text: &str| text.parse::<f64>().map_err(|_| format!("{name}: not a number: {text:?}"));
        cell(name).map(parse).transpose()
    };
    let id: Id = required("id")?.parse().map_err(|error| format!("id: {error}"))?;
    let kind = required("kind")?.parse().map_err(|error| format!("kind: {error}"))?;
    let mut spec = PointSpec::new(id, kind);
    spec.more.dis = cell("dis").map(Into::into);
    let unit = |text| Unit::parse(text).map_err(|error| format!("unit: {error}, not {text:?}"));
    spec.unit = cell("unit").map(unit).transpose()?;
    spec.cur = cell("cur").map(Into::into);
    spec.write = cell("write").map(Into::into);
    spec.more.cur_convert = cell("cur_convert").map(Into::into);
    spec.more.write_convert = cell("write_convert").map(Into::into);
    spec.more.his = cell("his").map(Into::into);
    spec.more.his_convert = cell("his_convert").map(Into::into);
    if let Some(text) = cell("cur_calibration") {
        let value = parse_quantity(text).map_err(|error| format!("cur_calibration: {error}"))?;
        spec.more.cur_calibration = Some(value);
    }
    if let Some(text) = cell("write_limit") {
        let limit = duration::parse(text).map_err(|error| format!("write_limit: {error}"))?;
        spec.more.write_limit = Some(limit);
    }
    (spec.more.min, spec.more.max, spec.more.step) =
        (number("min")?, number("max")?, number("step")?);
    let flag = |name: &str| match cell(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(format!("{name}: expected true or false, not {other:?}")),
    };
    spec.disabled = flag("disabled")?;
    (spec.more.writable, spec.more.cur_tracks_write) =
        (flag("writable")?, flag("cur_tracks_write")?);
    let tuning = |text: &str| text.parse().map_err(|error| format!("tuning: {error}"));
    spec.more.tuning = cell("tuning").map(tuning).transpose()?;
    for name in &COLUMNS[TAG_COLUMNS] {
        let tag = match cell(name) {
            None | Some("false") => continue,
            Some("true") => Tag::Marker,
            Some(text) => parse_tag(&format!("{name}:{text}"))?.1,
        };
        spec.more.tags.set(name, tag);
    }
    for tag in cell("tags").unwrap_or_default().split_whitespace() {
        let (name, tag) = parse_tag(tag)?;
        spec.more.tags.set(name, tag);
    }
    spec.more.trim();
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use pointstream_point::{Collect, Cov, HisRules};

    use super::*;

    #[test]
    fn rows_become_points() {
        let text = "id,dis,kind,unit,cur,tags\n\
                    # a comment\n\
                    m.power, Active power ,Number,kW,input:30001:f4,elec power phase:1\n\
                    m.on,,Bool,,coil:1,\n";
        let rows = parse(text);
        let (line, power) = rows[0].as_ref().unwrap();
        assert_eq!((*line, power.dis(), power.more.tags.iter().count()), (3, "Active power", 3));
        let (line, on) = rows[1].as_ref().unwrap();
        assert_eq!((*line, on.dis(), on.unit), (4, "m.on", None));
    }

    #[test]
    fn histories_have_columns_of_their_own() {
        assert_eq!(
            COLUMNS[TAG_COLUMNS],
            [
                "hisCollectInterval",
                "hisCollectCov",
                "hisCollectCovRateLimit",
                "hisCollectNA",
                "hisCollectWriteFreq",
                "hisTsPrecision"
            ]
        );
        let text = "id,kind,cur,his,his_convert,writable,hisCollectInterval,hisCollectCov,hisCollectNA,hisTsPrecision\n\
                    m.energy,Number,input:1,TL3,* 0.1,true,1min,0.5,true,1ms\n\
                    m.on,Bool,coil:1,,,false,,true,false,\n";
        let rows: Vec<_> = parse(text).into_iter().map(|row| row.unwrap().1).collect();
        let more = &rows[0].more;
        assert_eq!(
            (more.his.as_deref(), more.his_convert.as_deref()),
            (Some("TL3"), Some("* 0.1"))
        );
        assert!(more.writable);
        let collect = Collect::of(&rows[0]).unwrap().unwrap();
        assert_eq!(collect.interval, Some(core::time::Duration::from_secs(60)));
        assert_eq!((collect.cov, collect.na), (Some(Cov::By(0.5)), true));
        let on = Collect::of(&rows[1]).unwrap().unwrap();
        assert_eq!((on.interval, on.cov, on.na), (None, Some(Cov::Any), false));
        assert_eq!(HisRules::of(&rows[0]).precision.as_millis(), 1);
    }

    #[test]
    fn a_bad_row_says_what_is_wrong_and_where() {
        let check = |text: &str, line: usize, message: &str| {
            let error = parse(text).into_iter().find_map(Result::err).unwrap();
            assert_eq!(error, (line, message.to_owned()));
        };
        check("id,dis\n", 1, "the column \"kind\" is missing");
        check("id,kind\n,Number\n", 2, "the cell \"id\" is empty");
        check(
            "id,kind\na b,Number\n",
            2,
            "id: an id has only the characters A-Z a-z 0-9 _ . : ~ -, not ' '",
        );
        check(
            "id,kind\na,Float\n",
            2,
            "kind: unknown kind: expected Bool, DateTime, Number or Str",
        );
        check("id,kind,min\n\na,Number,x\n", 3, "min: not a number: \"x\"");
        check(
            "id,kind,disabled\na,Number,yes\n",
            2,
            "disabled: expected true or false, not \"yes\"",
        );
        let error = parse("id,kind,colour\n")[0].clone().unwrap_err();
        assert!(error.1.starts_with("unknown column \"colour\""), "{}", error.1);
        assert!(parse("id,kind\na\n")[0].is_err(), "a row with too few cells");
    }
}
