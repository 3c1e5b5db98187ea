//! A call of EC2's Query API before it is signed: an action and parameters, numbered where they are lists.
//!
//! Source: Amazon EC2 API Reference, "Query requests", version 2016-11-15.

use std::collections::BTreeMap;

/// The version of the interface.
const VERSION: &str = "2016-11-15";

/// An action with its parameters.
#[derive(Clone, Debug)]
pub struct Query {
    action: &'static str,
    pairs: Vec<(String, String)>,
    filters: usize,
    tagged: usize,
}

impl Query {
    /// An action without parameters.
    #[must_use]
    pub const fn of(action: &'static str) -> Self {
        Self { action, pairs: Vec::new(), filters: 0, tagged: 0 }
    }

    /// The action's name.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        self.action
    }

    /// One more parameter.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.pairs.push((name.into(), value.into()));
        self
    }

    /// One more parameter, where there is a value for it.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A list: `NAME.1`, `NAME.2` …
    #[must_use]
    pub fn list(self, name: &str, values: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let numbered = (1..).zip(values);
        numbered.fold(self, |query, (number, value)| query.with(format!("{name}.{number}"), value.as_ref()))
    }

    /// One more filter: any of these values.
    #[must_use]
    pub fn filter(mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.filters += 1;
        let filter = format!("Filter.{}", self.filters);
        self.with(format!("{filter}.Name"), name).list(&format!("{filter}.Value"), values)
    }

    /// What things of this kind, which the call makes, are to carry from their first moment.
    #[must_use]
    pub fn tagging(mut self, kind: &str, tags: &BTreeMap<String, String>) -> Self {
        self.tagged += 1;
        let specification = format!("TagSpecification.{}", self.tagged);
        self.with(format!("{specification}.ResourceType"), kind).tags(&format!("{specification}.Tag"), tags)
    }

    /// Tags as a list called `name`.
    #[must_use]
    pub fn tags(self, name: &str, tags: &BTreeMap<String, String>) -> Self {
        (1..).zip(tags).fold(self, |query, (number, (key, value))| {
            query.with(format!("{name}.{number}.Key"), key).with(format!("{name}.{number}.Value"), value)
        })
    }

    /// As the body of a request.
    #[must_use]
    pub fn encoded(&self) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("Action", self.action).append_pair("Version", VERSION);
        body.extend_pairs(&self.pairs);
        // As RFC 3986 has it. A verifier that encodes the parameters anew must come to the same bytes.
        body.finish().replace('*', "%2A").replace("%7E", "~")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_filters_and_tags_are_numbered() {
        let tags = BTreeMap::from([("a".to_owned(), "1 &2*~".to_owned()), ("b".to_owned(), "ü".to_owned())]);
        let query = Query::of("X").list("Id", ["p", "q"]).filter("f", ["v"]).filter("g", ["w", "x"]);
        let query = query.maybe("No", None).tagging("instance", &tags).tagging("volume", &BTreeMap::new());
        assert_eq!(
            query.encoded(),
            "Action=X&Version=2016-11-15&Id.1=p&Id.2=q&Filter.1.Name=f&Filter.1.Value.1=v&Filter.2.Name=g\
             &Filter.2.Value.1=w&Filter.2.Value.2=x&TagSpecification.1.ResourceType=instance\
             &TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=1+%262%2A~\
             &TagSpecification.1.Tag.2.Key=b&TagSpecification.1.Tag.2.Value=%C3%BC&TagSpecification.2.ResourceType=volume"
        );
    }
}
