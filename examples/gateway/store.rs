//! Looking at the file of a store without running a gateway.

use std::path::Path;

use pointstream::store::{Checked, Opened, Store};

/// Says what is in a file; an error where something is to be repaired.
pub(crate) fn check(path: &Path) -> Result<String, String> {
    let checked = Store::check(path).map_err(|error| error.to_string())?;
    let text = format!("{}: {}", path.display(), summary(&checked));
    if checked.is_sound() { Ok(text) } else { Err(format!("{text}; --repair-store mends it")) }
}

/// Repairs a file, and says what is in it then.
pub(crate) fn repair(path: &Path) -> Result<String, String> {
    let (opened, checked) = Store::repair(path).map_err(|error| error.to_string())?;
    let done = match &opened {
        Opened::Quarantined { aside, why, saved } => format!(
            "it was damaged ({why}) and is {} now; {saved} rows and pieces were carried over; ",
            aside.display()
        ),
        _ => String::new(),
    };
    Ok(format!("{}: {done}{}", path.display(), summary(&checked)))
}

fn summary(checked: &Checked) -> String {
    if let Some(damage) = &checked.damage {
        return format!("damaged: {damage}");
    }
    let Checked { rows, points, items, .. } = checked;
    let mut text = format!("{rows} rows, {items} items of {points} points");
    let counts = [
        (checked.bad_rows, "bad rows"),
        (checked.bad_pieces, "damaged pieces of histories"),
        (checked.aside, "damaged pieces put aside"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {what}"));
    }
    text
}
