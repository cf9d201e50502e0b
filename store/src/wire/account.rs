//! Settings of the account: kept for whoever asks; they change nothing here.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{fault::Fault, request::parse};
use crate::store::Store;

/// Under which name the store keeps them.
const KEPT: &str = "wire/account-settings";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    #[serde(rename = "MaxQueryTCU")]
    max_query_tcu: i64,
    query_pricing_model: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateAccountSettings {
    #[serde(rename = "MaxQueryTCU")]
    max_query_tcu: Option<i64>,
    query_pricing_model: Option<String>,
    query_compute: Option<Value>,
}

impl Default for Settings {
    /// A new account's.
    fn default() -> Self {
        Settings { max_query_tcu: 200, query_pricing_model: "COMPUTE_UNITS".into() }
    }
}

/// `DescribeAccountSettings`
pub fn describe(store: &Store) -> Result<Value, Fault> {
    let settings = store.with_manifest(|manifest| of(manifest.others.get(KEPT)));
    Ok(described(&settings))
}

/// `UpdateAccountSettings`
pub fn update(store: &Store, body: &[u8]) -> Result<Value, Fault> {
    let request: UpdateAccountSettings = parse(body)?;
    if let Some(mode) = request.query_compute.as_ref().and_then(|compute| compute.get("ComputeMode"))
        && mode != "ON_DEMAND"
    {
        return Err(Fault::validation("QueryCompute: only the ComputeMode ON_DEMAND is offered by this server."));
    }
    if let Some(units) = request.max_query_tcu.filter(|units| *units < 4 || units % 4 != 0 || *units > 1_000) {
        return Err(Fault::constraint(units, "maxQueryTCU", "Member must be a multiple of 4 from 4 to 1000"));
    }
    let model = request.query_pricing_model;
    if let Some(model) = model.as_deref().filter(|model| !matches!(*model, "BYTES_SCANNED" | "COMPUTE_UNITS")) {
        let rule = "Member must satisfy enum value set: [BYTES_SCANNED, COMPUTE_UNITS]";
        return Err(Fault::constraint(model, "queryPricingModel", rule));
    }
    let settings = store.change(|manifest| {
        let mut settings = of(manifest.others.get(KEPT));
        settings.max_query_tcu = request.max_query_tcu.unwrap_or(settings.max_query_tcu);
        settings.query_pricing_model = model.unwrap_or(settings.query_pricing_model);
        manifest.others.insert(KEPT.into(), json!(settings).to_string());
        Ok(settings)
    })?;
    Ok(described(&settings))
}

fn of(kept: Option<&String>) -> Settings {
    kept.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn described(settings: &Settings) -> Value {
    let mut out = json!(settings);
    out["QueryCompute"] = json!({ "ComputeMode": "ON_DEMAND" });
    out
}
