//! A table's partition key, as its maker has chosen it: kept, shown, and enforced on records where it says `REQUIRED`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::Fault;
use crate::record::Record;

/// Under which name a table's properties have it.
pub const PROPERTY: &str = "Schema";

/// `Schema`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Schema {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    composite_partition_key: Vec<PartitionKey>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartitionKey {
    r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enforcement_in_record: Option<String>,
}

impl Schema {
    /// Whether it can be one.
    pub fn check(&self) -> Result<(), Fault> {
        match self.composite_partition_key.len() {
            0 | 1 => (),
            n => {
                return Err(Fault::validation(format!("CompositePartitionKey has {n} keys; only one is allowed.")));
            }
        }
        for key in &self.composite_partition_key {
            let (dimension, name) = (key.r#type == "DIMENSION", key.name.as_deref().unwrap_or_default());
            if !dimension && key.r#type != "MEASURE" {
                let rule = "Member must satisfy enum value set: [DIMENSION, MEASURE]";
                return Err(Fault::constraint(&key.r#type, "schema.compositePartitionKey.1.member.type", rule));
            }
            if dimension && name.is_empty() {
                return Err(Fault::validation("A partition key of type DIMENSION must have a Name."));
            }
            if !dimension && key.name.is_some() {
                return Err(Fault::validation("A partition key of type MEASURE must not have a Name."));
            }
            match key.enforcement_in_record.as_deref() {
                None | Some("REQUIRED" | "OPTIONAL") => (),
                Some(other) => {
                    let rule = "Member must satisfy enum value set: [REQUIRED, OPTIONAL]";
                    let member = "schema.compositePartitionKey.1.member.enforcementInRecord";
                    return Err(Fault::constraint(other, member, rule));
                }
            }
            if !dimension && key.enforcement_in_record.is_some() {
                return Err(Fault::validation("A partition key of type MEASURE must not have EnforcementInRecord."));
            }
        }
        Ok(())
    }

    /// Whether a table that has this one may be given the other: only the enforcement can change.
    pub fn may_become(&self, other: &Schema) -> bool {
        let keys = |schema: &Schema| -> Vec<_> {
            let all = schema.composite_partition_key.iter();
            let all: Vec<_> = all.map(|key| (key.r#type.clone(), key.name.clone())).collect();
            if all.is_empty() { vec![("MEASURE".to_owned(), None)] } else { all }
        };
        keys(self) == keys(other)
    }

    /// What a table keeps of it.
    pub fn to_property(&self) -> String {
        json!(self).to_string()
    }

    /// A table's.
    pub fn of(properties: &BTreeMap<String, String>) -> Self {
        let kept = properties.get(PROPERTY).and_then(|text| serde_json::from_str(text).ok());
        kept.unwrap_or(Schema { composite_partition_key: Vec::new() })
    }

    /// As a table's description has it: without a choice it is the measure's name.
    pub fn described(&self) -> Value {
        if self.composite_partition_key.is_empty() {
            return json!({ "CompositePartitionKey": [{ "Type": "MEASURE" }] });
        }
        json!(self)
    }

    /// Why a record is rejected, if it lacks what it must have.
    pub fn reason(&self, record: &Record) -> Option<String> {
        let required =
            self.composite_partition_key.iter().filter(|key| key.enforcement_in_record.as_deref() == Some("REQUIRED"));
        let mut names = required.filter_map(|key| key.name.as_deref());
        let missing = names.find(|name| record.dimensions.iter().all(|(dimension, _)| dimension != name))?;
        Some(format!("The record has no dimension '{missing}', which the table's partition key requires."))
    }
}
