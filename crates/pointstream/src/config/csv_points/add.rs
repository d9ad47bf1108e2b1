//! Adding rows to a CSV file, as a person would: comments and everything else stay.

use super::super::edit::NewPoint;

/// The text with a row for each point at its end. Columns that it lacks for them come last, empty in
/// the rows that are there.
pub(in super::super) fn with_points(text: &str, points: &[NewPoint]) -> Result<String, csv::Error> {
    let (headers, ends) = records(text)?;
    let mut columns: Vec<&str> = headers.iter().collect();
    let before = columns.len();
    for (name, _) in points.iter().flat_map(cells) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let added = &columns[before..];
    let mut edited = String::with_capacity(text.len() + points.len() * 64);
    let mut from = 0;
    for (at, end) in ends.iter().enumerate() {
        edited.push_str(text.get(from..*end).unwrap_or_default());
        for name in added {
            edited.push(',');
            edited.push_str(if at == 0 { name } else { "" });
        }
        from = *end;
    }
    edited.push_str(text.get(from..).unwrap_or_default());
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !edited.is_empty() && !edited.ends_with('\n') {
        edited.push_str(newline);
    }
    let terminator = match newline {
        "\n" => csv::Terminator::Any(b'\n'),
        _ => csv::Terminator::CRLF,
    };
    // A first cell that begins as a comment does is quoted.
    let mut writer = csv::WriterBuilder::new();
    let mut writer =
        writer.comment(Some(b'#')).terminator(terminator).from_writer(edited.into_bytes());
    for point in points {
        let cells: Vec<_> = cells(point).collect();
        let cell = |name: &&str| {
            let cell = cells.iter().find(|(column, _)| column == name);
            cell.map_or("", |(_, text)| text.as_str())
        };
        writer.write_record(columns.iter().map(cell))?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    String::from_utf8(bytes).map_err(|error| csv::Error::from(std::io::Error::other(error)))
}

/// The header, and where it and each record ends, before its line break.
fn records(text: &str) -> Result<(csv::StringRecord, Vec<usize>), csv::Error> {
    let end = |position: &csv::Position| {
        let end = usize::try_from(position.byte()).unwrap_or(text.len());
        text.get(..end).unwrap_or(text).trim_end_matches(['\r', '\n']).len()
    };
    let mut reader = super::reader(text);
    let headers = reader.headers()?.clone();
    let mut ends = vec![end(reader.position())];
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        ends.push(end(reader.position()));
    }
    Ok((headers, ends))
}

/// What stands in the row of a point, by column.
fn cells(point: &NewPoint) -> impl Iterator<Item = (&'static str, String)> + use<'_> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let cells = [
        ("id", Some(point.id.to_string())),
        ("dis", text(&point.dis)),
        ("kind", Some(point.kind.to_string())),
        ("unit", point.unit.map(|unit| unit.to_string())),
        ("cur", text(&point.cur)),
        ("write", text(&point.write)),
        ("his", text(&point.his)),
    ];
    cells.into_iter().filter_map(|(name, text)| Some((name, text?)))
}

#[cfg(test)]
mod tests {
    use pointstream_point::{Kind, Unit};

    use super::*;

    fn point(id: &str) -> NewPoint {
        NewPoint::new(id.parse().unwrap(), Kind::Number, "input:30002:s2")
    }

    #[test]
    fn rows_come_last_and_all_else_stays() {
        let text =
            "# The plant.\nid,kind,cur,dis\n# Air.\na,Number,input:1,\"Supply\nair\"\n\n# The end.";
        let mut new = point("b");
        (new.dis, new.unit) = (Some("Return, \"air\"".into()), None);
        let edited = with_points(text, &[new]).unwrap();
        assert_eq!(edited, format!("{text}\nb,Number,input:30002:s2,\"Return, \"\"air\"\"\"\n"));
    }

    #[test]
    fn columns_that_are_missing_come_last_and_are_empty_in_other_rows() {
        let text = "dis,id,kind\r\n\"x, y\",a,Number\r\n# Between.\r\n,b,Bool";
        let mut new = point("c");
        (new.dis, new.unit, new.his) =
            (Some("#1".into()), Unit::parse("°C").ok(), Some("TL3".into()));
        let edited = with_points(text, &[new]).unwrap();
        let expected = "dis,id,kind,unit,cur,his\r\n\"x, y\",a,Number,,,\r\n# Between.\r\n,b,Bool,,,\r\n\
            \"#1\",c,Number,°C,input:30002:s2,TL3\r\n";
        assert_eq!(edited, expected);
        let rows: Vec<_> =
            super::super::parse(&edited).into_iter().map(|row| row.unwrap().1).collect();
        assert_eq!(
            (rows.len(), rows[2].dis(), rows[2].more.his.as_deref()),
            (3, "#1", Some("TL3"))
        );
    }
}
