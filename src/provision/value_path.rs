//! A place inside a value, as problems of settings and references to secrets name it.

use std::fmt;

use serde_json::Value;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Into the field of a record.
    Key(String),
    /// Into the element of an array.
    Index(usize),
}

/// Where in a value something is: `servers[0].plan`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValuePath(Vec<Segment>);

impl ValuePath {
    /// The field `key` of what is here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The element `index` of what is here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// What is around what is here; nothing is around the whole.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, around) = self.0.split_last()?;
        Some(Self(around.to_vec()))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The path that the JSON pointer `pointer` (RFC 6901) means in `value`; `None` where it is none.
    #[must_use]
    pub fn from_pointer(pointer: &str, value: &Value) -> Option<Self> {
        let mut path = Self::default();
        let mut here = Some(value);
        for token in pointer.strip_prefix('/').map_or_else(Vec::new, |rest| rest.split('/').collect()) {
            let token = token.replace("~1", "/").replace("~0", "~");
            if let Some(Value::Array(elements)) = here {
                let index: usize = token.parse().ok()?;
                path = path.index(index);
                here = elements.get(index);
            } else {
                path = path.key(&token);
                here = here.and_then(|value| value.get(&token));
            }
        }
        Some(path)
    }

    /// The steps from the outside in.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if position == 0 => write!(f, "{}", key.escape_debug())?,
                Segment::Key(key) => write!(f, ".{}", key.escape_debug())?,
            }
        }
        Ok(())
    }
}
