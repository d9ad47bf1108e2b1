use core::fmt;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::string::{String, ToString};

use subtle::ConstantTimeEq;

use crate::session::{Credentials, Refusal, Secret};

/// Says whether a device is who it says it is.
pub trait Authenticator: Send + Sync + 'static {
    /// Judges what a client presents.
    ///
    /// # Errors
    ///
    /// Why it is not let in.
    ///
    /// # Cancel safety
    ///
    /// The call is dropped when the client's time to connect is over or it goes away.
    fn authenticate(
        &self,
        credentials: &Credentials,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Devices and their credentials, in memory or from a file.
///
/// The file has a line for each device: the user, the device and the credential, separated by white
/// space. Empty lines and what begins with `#` are passed over. `*` as the device lets in every
/// device of that user with that credential.
#[derive(Clone, Default)]
pub struct Accounts {
    devices: BTreeMap<(String, String), Secret>,
}

/// Why a file of accounts is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is longer than [`Accounts::FILE_LEN_MAX`].
    #[error("the file is longer than 16 MiB")]
    Len,
    /// A line is not a user, a device and a credential. What it holds is not told.
    #[error("line {0} is not a user, a device and a credential")]
    Line(usize),
    /// A line names a device that another one has named.
    #[error("line {0} names a device a second time")]
    Twice(usize),
    /// Others than its owner may read it.
    #[error("others than its owner may read the file: chmod 600 keeps its credentials secret")]
    Readable,
}

impl Accounts {
    /// The longest file that is read, in bytes.
    pub const FILE_LEN_MAX: u64 = 16 << 20;

    /// Lets nobody in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a device in, or all of a user for the device `*`; replaces its credential if it has one.
    pub fn insert(&mut self, credentials: Credentials) {
        let Credentials { user, device, credential } = credentials;
        self.devices.insert((user, device), credential);
    }

    /// Lets a device in no more.
    pub fn remove(&mut self, user: &str, device: &str) {
        self.devices.remove(&(user.to_string(), device.to_string()));
    }

    /// These accounts and another one.
    #[must_use]
    pub fn with(mut self, user: &str, device: &str, credential: &str) -> Self {
        self.insert(Credentials::new(user, device, credential));
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// On Unix a file that others than its owner may read is refused.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AccountsError> {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if metadata.permissions().mode() & 0o077 != 0 {
                return Err(AccountsError::Readable);
            }
        }
        if metadata.len() > Self::FILE_LEN_MAX {
            return Err(AccountsError::Len);
        }
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// A line that is neither an account nor empty.
    pub fn parse(text: &str) -> Result<Self, AccountsError> {
        let mut accounts = Self::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim_start().starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            match [words.next(), words.next(), words.next(), words.next()] {
                [None, ..] => {}
                [Some(user), Some(device), Some(credential), None] => {
                    let key = (user.to_string(), device.to_string());
                    let secret = Secret::from(credential.to_string());
                    if accounts.devices.insert(key, secret).is_some() {
                        return Err(AccountsError::Twice(number));
                    }
                }
                _ => return Err(AccountsError::Line(number)),
            }
        }
        Ok(accounts)
    }

    /// Whether a device has this credential. Takes as long for an unknown device as for a known one
    /// with another credential of the same length.
    pub fn check(&self, credentials: &Credentials) -> bool {
        let secret = |device: &str| {
            let secret = self.devices.get(&(credentials.user.clone(), device.to_string()));
            secret.map(Secret::expose)
        };
        let own = secret(&credentials.device).filter(|_| credentials.device != ANY_DEVICE);
        let known = own.or_else(|| secret(ANY_DEVICE));
        let presented = credentials.credential.expose();
        let same = known.unwrap_or(presented).as_bytes().ct_eq(presented.as_bytes());
        bool::from(same) && known.is_some()
    }
}

/// The name that stands for every device of a user.
const ANY_DEVICE: &str = "*";

impl Authenticator for Accounts {
    async fn authenticate(&self, credentials: &Credentials) -> Result<(), Refusal> {
        if self.check(credentials) { Ok(()) } else { Err(Refusal::Credentials) }
    }
}

impl<A: Authenticator> Authenticator for std::sync::Arc<A> {
    async fn authenticate(&self, credentials: &Credentials) -> Result<(), Refusal> {
        (**self).authenticate(credentials).await
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.devices.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn a_file_lets_its_devices_in_and_no_others() {
        let text = "# plant\n\nada  boiler s3cret\nada\tchiller other\nbob * shared\n";
        let accounts = Accounts::parse(text).unwrap();
        for (user, device, credential, known) in [
            ("ada", "boiler", "s3cret", true),
            ("ada", "chiller", "other", true),
            ("bob", "anything", "shared", true),
            ("ada", "boiler", "s3cre", false),
            ("ada", "boiler", "other", false),
            ("ada", "boiler", "", false),
            ("ada", "pump", "s3cret", false),
            ("eve", "boiler", "s3cret", false),
            ("bob", "anything", "s3cret", false),
        ] {
            let credentials = Credentials::new(user, device, credential);
            assert_eq!(accounts.check(&credentials), known, "{credentials:?}");
        }
        assert!(!format!("{accounts:?}").contains("s3cret"));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_and_not_shown() {
        for (text, expected) in [
            ("a b c\nada boiler", "line 2 is not a user, a device and a credential"),
            ("a b c d", "line 1 is not a user, a device and a credential"),
            ("a b c\na b d", "line 2 names a device a second time"),
        ] {
            assert_eq!(Accounts::parse(text).unwrap_err().to_string(), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("accounts-{}", std::process::id()));
        std::fs::write(&path, "ada boiler s3cret\n").unwrap();
        for (mode, good) in [(0o600, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let loaded = Accounts::load(&path);
            assert_eq!(loaded.is_ok(), good, "{mode:o}");
            assert!(good || matches!(loaded, Err(AccountsError::Readable)));
        }
        std::fs::remove_file(&path).unwrap();
    }
}
