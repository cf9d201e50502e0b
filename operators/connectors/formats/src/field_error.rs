//! What serde cannot read or write, and in which field.

/// An error of either direction: the reason, behind the way to its field.
#[derive(Debug)]
pub(crate) struct FieldError {
    what: String,
    path: String,
}

impl FieldError {
    /// The same, seen from the record that has it in its field `name`.
    #[cold]
    pub fn inside(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, dot);
        self.path.insert_str(0, name);
        self
    }

    /// The same, seen from the list that has it in its item `number`.
    #[cold]
    pub fn in_item(self, number: usize) -> Self {
        self.inside(&format!("[{number}]"))
    }
}

impl From<String> for FieldError {
    fn from(what: String) -> Self {
        FieldError { what, path: String::new() }
    }
}

impl From<&str> for FieldError {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.path.is_empty() {
            write!(f, "field '{}': ", self.path)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for FieldError {}

impl serde::de::Error for FieldError {
    #[cold]
    fn custom<T: std::fmt::Display>(what: T) -> Self {
        what.to_string().into()
    }
}

impl serde::ser::Error for FieldError {
    #[cold]
    fn custom<T: std::fmt::Display>(what: T) -> Self {
        what.to_string().into()
    }
}
