//! How AWS is reached: region, endpoint and credentials as every AWS tool takes them.
//!
//! What is not set here comes from where the AWS command line takes it: `AWS_REGION`,
//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_PROFILE`,
//! `AWS_ENDPOINT_URL` (or `AWS_ENDPOINT_URL_KINESIS` and the like for one service),
//! `AWS_CA_BUNDLE`, `~/.aws/config`, SSO, a web identity, the container or the instance.
//! What is missing is said at once and in one line, before the first request fails.

mod config;
mod error;

pub use aws_config::SdkConfig;
pub use config::AwsConfig;
pub use error::{Error, Result, describe};
