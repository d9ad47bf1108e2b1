//! Topics that are polled from HTTP APIs.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use pointstream_point::{Id, duration};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// A topic whose document is what an HTTP API answers, polled while somebody subscribes.
#[cfg(feature = "poll")]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SourceConfig {
    /// The topic's name.
    pub id: Id,
    /// What is polled, and how.
    pub source: pointstream_poll::shell::Source,
    /// What may be fetched from beside the public Internet, as `192.168.1.0/24:80` or `plc.local:80`.
    pub allow_targets: Vec<String>,
    /// By which value the elements of arrays are told apart: the pointer of the elements, and to the
    /// value within one. See `TopicOptions::with_array_id`.
    pub array_ids: BTreeMap<String, String>,
}

#[cfg(feature = "poll")]
impl SourceConfig {
    /// Polls a source for the topic of this name.
    pub const fn new(id: Id, source: pointstream_poll::shell::Source) -> Self {
        Self { id, source, allow_targets: Vec::new(), array_ids: BTreeMap::new() }
    }

    /// The options of the topic.
    pub(crate) fn topic_options(
        &self,
    ) -> Result<pointstream_hub::TopicOptions, pointstream_patch::PointerError> {
        let options = pointstream_hub::TopicOptions::text();
        self.array_ids
            .iter()
            .try_fold(options, |options, (elements, id)| options.with_array_id(elements, id))
    }

    /// What may be fetched from.
    pub(crate) fn targets(
        &self,
    ) -> Result<pointstream_poll::Targets, pointstream_poll::TargetError> {
        let mut targets = pointstream_poll::Targets::public();
        self.allow_targets.iter().try_for_each(|text| targets.allow(text))?;
        Ok(targets)
    }
}

/// A source as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "poll"), expect(dead_code, reason = "told to be of no use"))]
pub(super) struct SourceTable {
    pub(super) id: Spanned<Id>,
    url: String,
    #[serde(default, deserialize_with = "some_duration")]
    poll_time: Option<Duration>,
    #[serde(default)]
    payload_pointer: String,
    #[serde(default)]
    redirects_max: u8,
    #[serde(default)]
    headers: BTreeMap<String, Hidden>,
    auth: Option<AuthTable>,
    #[serde(default)]
    always: bool,
    #[serde(default)]
    allow_targets: Vec<String>,
    #[serde(default)]
    array_ids: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(not(feature = "poll"), expect(dead_code, reason = "told to be of no use"))]
enum AuthTable {
    Query {
        parameters: BTreeMap<String, Hidden>,
    },
    Headers {
        headers: BTreeMap<String, Hidden>,
    },
    Basic {
        user: String,
        password: Hidden,
    },
    Oauth2 {
        provider: String,
        client_id: String,
        client_secret: Hidden,
        #[serde(default)]
        scope: String,
        #[serde(default)]
        mode: Mode,
    },
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Header,
    Body,
}

/// A text that is not shown.
#[derive(Deserialize)]
#[serde(transparent)]
#[cfg_attr(not(feature = "poll"), expect(dead_code, reason = "told to be of no use"))]
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl SourceTable {
    /// The source, or what is wrong with it.
    #[cfg(feature = "poll")]
    pub(super) fn resolve(self) -> Result<SourceConfig, String> {
        use pointstream_poll::{Auth, Config, GrantMode, OAuth, Secret, shell::Source};
        let pairs = |pairs: BTreeMap<String, Hidden>| {
            pairs.into_iter().map(|(name, value)| (name, Secret::new(&value.0))).collect()
        };
        let mut config = Config::new(&self.url);
        config.period = self.poll_time.unwrap_or(config.period);
        config.payload_pointer = self.payload_pointer;
        config.redirects_max = self.redirects_max;
        config.headers = pairs(self.headers);
        config.auth = match self.auth {
            None => Auth::None,
            Some(AuthTable::Query { parameters }) => Auth::Query(pairs(parameters)),
            Some(AuthTable::Headers { headers }) => Auth::Headers(pairs(headers)),
            Some(AuthTable::Basic { user, password }) => {
                Auth::Basic { user, password: Secret::new(&password.0) }
            }
            Some(AuthTable::Oauth2 { provider, client_id, client_secret, scope, mode }) => {
                let mut oauth = OAuth::new(&provider, &client_id, &client_secret.0);
                oauth.scope = scope;
                oauth.mode = match mode {
                    Mode::Header => GrantMode::Header,
                    Mode::Body => GrantMode::Body,
                };
                Auth::OAuth(oauth)
            }
        };
        config.validate().map_err(|error| error.to_string())?;
        let mut source = Source::new(config);
        source.always_on = self.always;
        let mut resolved = SourceConfig::new(self.id.into_inner(), source);
        resolved.allow_targets = self.allow_targets;
        resolved.array_ids = self.array_ids;
        resolved.targets().map_err(|error| error.to_string())?;
        resolved.topic_options().map_err(|error| format!("array_ids: {error}"))?;
        Ok(resolved)
    }
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}
