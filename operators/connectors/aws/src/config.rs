//! One way to make an [`SdkConfig`].

use std::{fs, path::PathBuf, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

use crate::error::{Error, Result, causes};

/// How one AWS service is reached. All is optional: see the [crate](crate).
///
/// ```
/// # async fn doc() -> Result<(), hurtig_aws::Error> {
/// let local = hurtig_aws::AwsConfig::new()
///     .region("eu-west-1")
///     .endpoint_url("http://127.0.0.1:4568")
///     .credentials("local", "local");
/// let sdk = local.load().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct AwsConfig {
    region: Option<String>,
    endpoint_url: Option<String>,
    profile: Option<String>,
    credentials: Option<(String, String)>,
    attempts: Option<u32>,
}

impl std::fmt::Debug for AwsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsConfig")
            .field("region", &self.region)
            .field("endpoint_url", &self.endpoint_url)
            .field("profile", &self.profile)
            .field("access_key_id", &self.credentials.as_ref().map(|(id, _)| id))
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl AwsConfig {
    /// Everything from the environment.
    pub fn new() -> Self {
        AwsConfig::default()
    }

    /// Flink's `aws.region`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Flink's `aws.endpoint`: `http://127.0.0.1:4568` for a local server.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// The profile in `~/.aws/config` and `~/.aws/credentials`.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Fixed credentials, for a local server. They never appear in a log; better still is the
    /// environment, where they do not stand in a program.
    #[must_use]
    pub fn credentials(mut self, access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        self.credentials = Some((access_key_id.into(), secret_access_key.into()));
        self
    }

    /// How often a request is tried before its error counts; by default what `AWS_MAX_ATTEMPTS`
    /// or the profile say, else 3. Connectors that see to their own retries set 1 on the path of
    /// the data.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts.max(1));
        self
    }

    /// Finds region and credentials. An error here is a mistake in the set-up, not of the network.
    pub async fn load(&self) -> Result<SdkConfig> {
        let client = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(client.tls_context(tls()?).build_https())
            // An attempt that hears nothing for so long is taken for lost; SQS's long poll waits 20 s.
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .operation_attempt_timeout(Duration::from_secs(45))
                    .build(),
            );
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some((id, secret)) = &self.credentials {
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "hurtig"));
        }
        if let Some(attempts) = self.attempts {
            loader = loader.retry_config(RetryConfig::standard().with_max_attempts(attempts));
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(Error::NoRegion);
        }
        let provider = config.credentials_provider();
        let provider = provider.ok_or_else(|| Error::NoCredentials { reason: "nothing provides them".into() })?;
        if let Err(e) = provider.provide_credentials().await {
            return Err(Error::NoCredentials { reason: causes(&e) });
        }
        Ok(config)
    }
}

/// What HTTPS trusts: the system's certificates and those of `AWS_CA_BUNDLE`.
fn tls() -> Result<TlsContext> {
    let mut trusted = TrustStore::default();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").map(PathBuf::from) {
        let pem = fs::read(&path).map_err(|source| Error::CaBundle { path, source })?;
        trusted = trusted.with_pem_certificate(pem);
    }
    TlsContext::builder().with_trust_store(trusted).build().map_err(|e| Error::Http(e.to_string()))
}
