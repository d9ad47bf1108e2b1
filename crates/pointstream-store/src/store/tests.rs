//! Files of a store, sound and damaged.

use super::*;

const LEVELS: Table<(f64, String)> = Table::new("levels");

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("pointstream-store-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("gateway.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let folder = Folder::new("reopen");
    let (store, opened) = Store::open(&folder.file()).unwrap();
    assert_eq!(opened, Opened::Made);
    assert_eq!(store.get(&LEVELS, "ahu.sp 8").unwrap(), None);
    assert_eq!(store.rows(&LEVELS).unwrap(), []);
    let (row, other) = ((21.5, "ann".to_owned()), (30.0, "bob".to_owned()));
    store.write(|w| w.put(&LEVELS, "ahu.sp 8", &row)).unwrap();
    store.write(|w| w.put(&LEVELS, "ahu.sp 1", &other)).unwrap();
    drop(store);
    let (store, opened) = Store::open(&folder.file()).unwrap();
    assert_eq!(opened, Opened::Found);
    assert_eq!(store.get(&LEVELS, "ahu.sp 8").unwrap(), Some(row.clone()));
    let rows = [("ahu.sp 1".to_owned(), other), ("ahu.sp 8".to_owned(), row)];
    assert_eq!(store.rows(&LEVELS).unwrap(), rows);
    assert!(store.write(|w| w.remove(&LEVELS, "ahu.sp 8")).unwrap());
    assert!(!store.write(|w| w.remove(&LEVELS, "ahu.sp 8")).unwrap());
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    let folder = Folder::new("atomic");
    let (store, _) = Store::open(&folder.file()).unwrap();
    let long = "x".repeat(Store::ROW_LEN_MAX);
    let failed = store.write(|w| {
        w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))?;
        w.put(&LEVELS, "b", &(1.0, long.clone()))
    });
    assert!(matches!(failed, Err(StoreError::TooLong { .. })));
    assert_eq!(store.rows(&LEVELS).unwrap(), []);
}

#[test]
fn rows_are_bounded_at_their_limit() {
    const TEXTS: Table<String> = Table::new("texts");
    let folder = Folder::new("limit");
    let (store, _) = Store::open(&folder.file()).unwrap();
    // Two quotes are stored besides.
    let put = |len: usize| store.write(|w| w.put(&TEXTS, "a", &"x".repeat(len)));
    assert!(put(Store::ROW_LEN_MAX - 2).is_ok());
    assert!(put(Store::ROW_LEN_MAX - 1).is_err());
}

#[test]
fn a_damaged_file_is_put_aside_and_told() {
    let folder = Folder::new("damaged");
    for round in 1..=2 {
        fs::write(folder.file(), [0x5a; 8192]).unwrap();
        let (store, opened) = Store::open(&folder.file()).unwrap();
        let Opened::Quarantined { aside, .. } = opened else { panic!("{opened:?}") };
        assert!(aside.ends_with(format!("gateway.redb.damaged-{round}")), "{aside:?}");
        assert_eq!(fs::read(&aside).unwrap(), [0x5a; 8192]);
        store.write(|w| w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))).unwrap();
    }
}

#[test]
fn a_file_cut_anywhere_opens_all_the_same() {
    let folder = Folder::new("cut");
    let (store, _) = Store::open(&folder.file()).unwrap();
    store.write(|w| w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))).unwrap();
    drop(store);
    let whole = fs::read(folder.file()).unwrap();
    for len in (1..whole.len()).step_by(whole.len() / 40) {
        fs::write(folder.file(), &whole[..len]).unwrap();
        let (store, _) = Store::open(&folder.file()).unwrap();
        store.write(|w| w.put(&LEVELS, "b", &(2.0, "bob".to_owned()))).unwrap();
    }
}

#[test]
fn a_file_of_a_later_version_or_in_use_is_left_alone() {
    let folder = Folder::new("later");
    let (store, _) = Store::open(&folder.file()).unwrap();
    let in_use = Store::open(&folder.file()).unwrap_err();
    assert!(matches!(in_use, StoreError::InUse { .. }), "{in_use}");
    store.write(|w| w.put(&META, FORMAT_KEY, &99)).unwrap();
    drop(store);
    let newer = Store::open(&folder.file()).unwrap_err();
    assert!(newer.to_string().ends_with("has format 99, this version reads up to 2"), "{newer}");
}

#[test]
fn a_row_of_another_type_says_which() {
    let folder = Folder::new("row");
    let (store, _) = Store::open(&folder.file()).unwrap();
    store.write(|w| w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))).unwrap();
    const OTHER: Table<bool> = Table::new("levels");
    let error = store.get(&OTHER, "a").unwrap_err().to_string();
    assert!(error.starts_with("row \"a\" of table levels: "), "{error}");
}

#[test]
fn an_empty_file_is_put_aside_and_told() {
    let folder = Folder::new("empty");
    fs::write(folder.file(), "").unwrap();
    let (store, opened) = Store::open(&folder.file()).unwrap();
    let Opened::Quarantined { why, saved, .. } = opened else { panic!("{opened:?}") };
    assert_eq!((why.as_str(), saved), ("the file is empty", 0));
    store.write(|w| w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))).unwrap();
    drop(store);
    assert!(Store::check(&folder.file()).unwrap().is_sound());
}

#[test]
fn a_row_that_is_not_what_was_written_is_told_and_the_others_are_read() {
    let folder = Folder::new("badrow");
    let (store, _) = Store::open(&folder.file()).unwrap();
    for (at, key) in (0u8..).zip(["a", "b", "c"]) {
        store.write(|w| w.put(&LEVELS, key, &(f64::from(at), "ann".to_owned()))).unwrap();
    }
    let transaction = store.begin_write().unwrap();
    {
        let mut rows = transaction.open_table(LEVELS.definition()).unwrap();
        let mut row = rows.get("b").unwrap().unwrap().value().to_vec();
        row[1] ^= 8;
        rows.insert("b", row.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    let (rows, bad) = store.sound_rows(&LEVELS).unwrap();
    assert_eq!(rows.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert!(bad[0].to_string().contains("the check sum is another"), "{}", bad[0]);
    assert!(store.rows(&LEVELS).is_err() && store.get(&LEVELS, "b").is_err());
    drop(store);
    let checked = Store::check(&folder.file()).unwrap();
    assert_eq!((checked.rows, checked.bad_rows, checked.is_sound()), (3, 1, false));
    let (opened, repaired) = Store::repair(&folder.file()).unwrap();
    assert_eq!((opened, repaired.rows, repaired.is_sound()), (Opened::Found, 2, true));
}

#[test]
fn a_file_without_check_sums_is_read_and_goes_on_with_them() {
    let folder = Folder::new("format1");
    let (store, _) = Store::open(&folder.file()).unwrap();
    let transaction = store.begin_write().unwrap();
    transaction.open_table(META.definition()).unwrap().insert(FORMAT_KEY, &b"1"[..]).unwrap();
    let row = &b"[21.5,\"ann\"]"[..];
    transaction.open_table(LEVELS.definition()).unwrap().insert("a", row).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let (store, opened) = Store::open(&folder.file()).unwrap();
    assert_eq!(opened, Opened::Found);
    assert_eq!(store.get(&LEVELS, "a").unwrap(), Some((21.5, "ann".to_owned())));
    assert_eq!(store.get(&META, FORMAT_KEY).unwrap(), Some(Store::FORMAT));
}

#[test]
fn damage_that_is_met_on_the_way_is_an_error_and_looked_for_at_the_next_opening() {
    let folder = Folder::new("suspect");
    let (store, _) = Store::open(&folder.file()).unwrap();
    store.write(|w| w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))).unwrap();
    let suspect = suspect_path(&folder.file());
    // The reader of the file panics where a page is not what it should be.
    let failed = store.guarded(|| -> Result<(), _> { panic!("Invalid page type byte 90") });
    let error = failed.unwrap_err().to_string();
    assert!(error.ends_with("is damaged: Invalid page type byte 90"), "{error}");
    assert!(suspect.exists());
    assert!(store.get(&LEVELS, "a").unwrap().is_some(), "what is sound is read all the same");
    drop(store);
    let (store, opened) = Store::open(&folder.file()).unwrap();
    assert_eq!((opened, suspect.exists()), (Opened::Found, false));
    let corrupted = || Err::<(), _>(store.failed(redb::Error::Corrupted("a page".to_owned())));
    assert!(store.guarded(corrupted).is_err());
    assert!(suspect.exists());
}
