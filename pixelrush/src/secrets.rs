//! Keys come from files, never from the command line. With the one-process mode they are made if
//! there are none.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rpc::token::{KeyTooShort, MIN_KEY, Signer};

use crate::settings::Settings;

/// The keys of a process.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub(crate) signer: Signer,
    pub(crate) id_key: Box<[u8]>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    #[error(
        "secrets.signing_key_file is not set; make one with `head -c 32 /dev/urandom > FILE` and give the same file to every gateway and matcher"
    )]
    NotSet,
    #[error("cannot read the key file {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write the key file {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the key file {} is of no use", path.display())]
    Short { path: PathBuf, source: KeyTooShort },
}

impl Secrets {
    /// The keys that the settings name.
    pub(crate) fn read(settings: &Settings) -> Result<Self, SecretsError> {
        let path = settings
            .secrets
            .signing_key_file
            .as_deref()
            .ok_or(SecretsError::NotSet)?;
        let key = read(path)?;
        let id_key = match &settings.secrets.id_key_file {
            Some(path) => read(path)?,
            None => key.clone(),
        };
        Self::new(path, &key, id_key)
    }

    /// The keys that the settings name; else those in the data folder, which are made the first
    /// time; else keys of this process alone.
    pub(crate) fn read_or_make(settings: &Settings) -> Result<Self, SecretsError> {
        if settings.secrets.signing_key_file.is_some() {
            return Self::read(settings);
        }
        let Some(folder) = &settings.engine.data_dir else {
            let key = rand::random::<[u8; MIN_KEY]>();
            return Self::new(Path::new("(made)"), &key, key.to_vec());
        };
        let path = folder.join("signing.key");
        if !path.exists() {
            make(&path)?;
        }
        let key = read(&path)?;
        Self::new(&path, &key, key.clone())
    }

    fn new(path: &Path, key: &[u8], id_key: Vec<u8>) -> Result<Self, SecretsError> {
        let signer = Signer::new(key).map_err(|source| SecretsError::Short {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            signer,
            id_key: id_key.into(),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SecretsError> {
    fs::read(path).map_err(|source| SecretsError::Read {
        path: path.to_path_buf(),
        source,
    })
}

fn make(path: &Path) -> Result<(), SecretsError> {
    let failed = |source| SecretsError::Write {
        path: path.to_path_buf(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(&rand::random::<[u8; MIN_KEY]>())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_the_data_folder_are_made_once_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::default();
        settings.engine.data_dir = Some(folder.path().join("data"));
        let first = Secrets::read_or_make(&settings).expect("made");
        let second = Secrets::read_or_make(&settings).expect("read");
        assert_eq!(first.id_key, second.id_key);
    }

    #[test]
    fn several_processes_need_a_key_file_and_are_told_how_to_make_one() {
        let error = Secrets::read(&Settings::default()).expect_err("no key");
        assert!(error.to_string().contains("/dev/urandom"), "{error}");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("short.key");
        fs::write(&path, b"secret").expect("written");
        let mut settings = Settings::default();
        settings.secrets.signing_key_file = Some(path);
        assert!(matches!(
            Secrets::read(&settings),
            Err(SecretsError::Short { .. })
        ));
    }
}
