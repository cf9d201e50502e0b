//! Access keys: who may ask, where requests have to be signed.

use std::{collections::HashMap, fmt, path::Path, str::FromStr};

use crate::error::{At, Error, Result};

/// Ids of access keys with their secrets; written as `ID:SECRET`, several of them with a comma or a line between.
#[derive(Clone, Default)]
pub struct AccessKeys(HashMap<String, String>);

impl AccessKeys {
    /// Reads them from a file: one `ID:SECRET` a line; lines that begin with `#` are comments.
    ///
    /// # Errors
    /// A file that cannot be read, or that has something else in it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).at(path)?;
        text.parse().map_err(|e| Error::Validation(format!("{}: {e}", path.display())))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An id's secret.
    pub(crate) fn secret(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }
}

impl FromStr for AccessKeys {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut keys = HashMap::new();
        for (i, line) in text.lines().map(str::trim).enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
            for key in line.split(',').map(str::trim) {
                // What is there instead may be a secret: it is not repeated.
                let wrong = || Error::Validation(format!("line {}: an access key is written ID:SECRET", i + 1));
                let (id, secret) = key.split_once(':').ok_or_else(wrong)?;
                if id.is_empty() || secret.is_empty() || id.contains('/') {
                    return Err(wrong());
                }
                keys.insert(id.to_owned(), secret.to_owned());
            }
        }
        Ok(AccessKeys(keys))
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessKeys").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}
