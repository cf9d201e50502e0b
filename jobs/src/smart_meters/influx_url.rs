//! `influx:URL`: which server, and by the URL's parameters, which of InfluxDB's interfaces.

use std::{fmt, str::FromStr};

/// `http://host:8086?db=NAME` (InfluxDB 1), `?org=NAME&bucket=NAME` (2), `?database=NAME` (3). Credentials do not stand in it:
/// they are taken from the environment, where they end up in no process list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfluxUrl {
    base: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    V1 { database: String },
    V2 { org: String, bucket: String },
    V3 { database: String },
}

const FORM: &str = "give influx:http://HOST:8086?db=DATABASE (InfluxDB 1), ?org=ORG&bucket=BUCKET (2) or \
                    ?database=DATABASE (3)";

impl FromStr for InfluxUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no place in an InfluxDB: {FORM}");
        if text.contains('@') {
            return Err("credentials do not stand in an InfluxDB's URL: set INFLUX_TOKEN, or INFLUX_USERNAME and \
                        INFLUX_PASSWORD"
                .into());
        }
        let (base, query) = text.split_once('?').ok_or_else(wrong)?;
        if !["http://", "https://"].iter().any(|scheme| base.strip_prefix(scheme).is_some_and(|host| !host.is_empty()))
        {
            return Err(wrong());
        }
        let mut pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        pairs.sort_unstable();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        // What is no UTF-8 has become this character, and so another name.
        if pairs.iter().any(|(_, value)| value.is_empty() || value.contains(char::REPLACEMENT_CHARACTER)) {
            return Err(wrong());
        }
        let place = match pairs[..] {
            [("db", database)] => Place::V1 { database: database.into() },
            [("bucket", bucket), ("org", org)] => Place::V2 { org: org.into(), bucket: bucket.into() },
            [("database", database)] => Place::V3 { database: database.into() },
            _ => return Err(wrong()),
        };
        Ok(InfluxUrl { base: base.into(), place })
    }
}

impl fmt::Display for InfluxUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = form_urlencoded::Serializer::new(String::new());
        match &self.place {
            Place::V1 { database } => query.append_pair("db", database),
            Place::V2 { org, bucket } => query.append_pair("org", org).append_pair("bucket", bucket),
            Place::V3 { database } => query.append_pair("database", database),
        };
        write!(f, "{}?{}", self.base, query.finish())
    }
}

#[cfg(feature = "influx")]
mod sink {
    use hurtig_influx::{Api, InfluxSink};

    use super::*;

    impl InfluxUrl {
        /// The server.
        pub fn base(&self) -> &str {
            &self.base
        }

        /// Its interface.
        pub fn api(&self) -> Api {
            match self.place.clone() {
                Place::V1 { database } => Api::V1 { database, retention_policy: None },
                Place::V2 { org, bucket } => Api::V2 { org, bucket },
                Place::V3 { database } => Api::V3 { database },
            }
        }

        /// The sink with what the environment has: `INFLUX_TOKEN`, or `INFLUX_USERNAME` and `INFLUX_PASSWORD`, as InfluxDB's
        /// own command line takes them.
        pub fn credentials<T, P>(&self, sink: InfluxSink<T, P>) -> InfluxSink<T, P> {
            let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            match (of("INFLUX_TOKEN"), of("INFLUX_USERNAME")) {
                (Some(token), _) => sink.token(token),
                (None, Some(user)) => sink.basic_auth(user, of("INFLUX_PASSWORD").unwrap_or_default()),
                (None, None) => sink,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_shown() {
        for text in [
            "http://127.0.0.1:8086?db=meters",
            "https://influx.example.com/behind/a/proxy?org=grid&bucket=meters",
            "http://localhost:8181?database=meters",
            "http://localhost:8086?org=our+grid&bucket=a%26b",
        ] {
            assert_eq!(text.parse::<InfluxUrl>().map(|url| url.to_string()), Ok(text.to_owned()));
        }
        let secret = "http://me:secret@h?db=x".parse::<InfluxUrl>().expect_err("a password");
        assert!(secret.contains("INFLUX_PASSWORD") && !secret.contains("me:secret"), "{secret}");
        let spaced = "http://h?bucket=b&org=our%20grid".parse::<InfluxUrl>().expect("in any order");
        assert_eq!(spaced.place, Place::V2 { org: "our grid".into(), bucket: "b".into() });
        for text in [
            "http://h:8086",
            "ftp://h?db=x",
            "http://?db=x",
            "http://h?db=",
            "http://h?db=%FF",
            "http://h?bucket=x",
            "http://h?db=x&org=y",
        ] {
            let line = text.parse::<InfluxUrl>().expect_err(text);
            assert!(line.contains("?db=DATABASE"), "{line}");
        }
    }
}
