//! Which of InfluxDB's interfaces is written to, and where that is.

use reqwest::Url;

use crate::{
    error::{Error, Result},
    line::Escaping,
};

/// InfluxDB's interfaces for writing. Others speak one or more of them too: VictoriaMetrics the first two, QuestDB the
/// first two (set [`Escaping::QuestDb`]), InfluxDB 3 all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Api {
    /// `/write?db=…`: InfluxDB 1.
    V1 {
        /// The database.
        database: String,
        /// The retention policy; the database's default one if there is none.
        retention_policy: Option<String>,
    },
    /// `/api/v2/write?org=…&bucket=…`: InfluxDB 2, Cloud, InfluxDB 1.8.
    V2 {
        /// The organization, by name or id; InfluxDB 3 ignores it.
        org: String,
        /// The bucket, by name or id.
        bucket: String,
    },
    /// `/api/v3/write_lp?db=…`: InfluxDB 3 Core and Enterprise, Amazon Timestream for InfluxDB 3.
    V3 {
        /// The database.
        database: String,
    },
}

impl Api {
    /// Where to POST lines whose times are nanoseconds; `base` may end with a path, for a server behind a proxy.
    pub fn url(&self, base: &str) -> Result<Url> {
        let unusable =
            |why: String| Error::Config(format!("'{base}' is no URL of an InfluxDB: {why} (http://host:8086)"));
        let mut url = Url::parse(base).map_err(|e| unusable(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(unusable("it does not begin with http://HOST or https://HOST".into()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Config("the URL of an InfluxDB holds no credentials: set token or basic_auth".into()));
        }
        let path = match self {
            Api::V1 { .. } => "write",
            Api::V2 { .. } => "api/v2/write",
            Api::V3 { .. } => "api/v3/write_lp",
        };
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        url.set_query(None);
        let mut query = url.query_pairs_mut();
        match self {
            Api::V1 { database, retention_policy } => {
                query.append_pair("db", database).append_pair("precision", "n");
                if let Some(policy) = retention_policy {
                    query.append_pair("rp", policy);
                }
            }
            Api::V2 { org, bucket } => {
                query.append_pair("org", org).append_pair("bucket", bucket).append_pair("precision", "ns");
            }
            Api::V3 { database } => {
                query.append_pair("db", database).append_pair("precision", "nanosecond");
                query.append_pair("accept_partial", "true");
            }
        }
        drop(query);
        Ok(url)
    }

    /// How its servers want a token: `Authorization: Token …`.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Api::V1 { .. } | Api::V2 { .. } => "Token",
            Api::V3 { .. } => "Bearer",
        }
    }

    /// How its servers read backslashes.
    pub(crate) fn escaping(&self) -> Escaping {
        match self {
            Api::V1 { .. } | Api::V2 { .. } => Escaping::V1,
            Api::V3 { .. } => Escaping::V3,
        }
    }
}
