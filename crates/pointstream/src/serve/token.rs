use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// How long a token is in its file, at most and at least.
const LEN_MAX: u64 = 4096;
const LEN_MIN: usize = 16;

/// The token in a file that only its owner reads. Without the file one is made: 256 random bits.
pub(super) fn read_or_make(path: &Path) -> io::Result<String> {
    match File::open(path) {
        Ok(file) => read(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

fn read(file: File) -> io::Result<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            let text = format!("others may read it (mode {:o}): chmod 600 it", mode & 0o777);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    let mut text = String::new();
    file.take(LEN_MAX).read_to_string(&mut text)?;
    let token = text.trim();
    if token.len() < LEN_MIN {
        let text = format!("it has fewer than {LEN_MIN} characters: delete it to have one made");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(token.to_owned())
}

fn make(path: &Path) -> io::Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    Ok(token)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_kept_from_others() {
        let dir = std::env::temp_dir().join(format!("pointstream-token-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("token");
        let token = read_or_make(&path).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(read_or_make(&path).unwrap(), token);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let other = read_or_make(&dir.join("other")).unwrap();
        assert_ne!(other, token);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_or_make(&path).unwrap_err();
        assert_eq!(error.to_string(), "others may read it (mode 640): chmod 600 it");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
