use std::sync::Arc;

use pointstream_iotmp::Payload;
use pointstream_iotmp::server::{DeviceId, ServiceError};
use pointstream_store::{Store, StoreError, Table};

/// The properties of IOTMP devices, in a store: what a server's
/// [`Services`](pointstream_iotmp::server::Services) keep them in.
#[derive(Clone, Debug)]
pub struct StoredProperties {
    store: Arc<Store>,
}

const PROPERTIES: Table<serde_json::Value> = Table::new("iotmp_properties");

/// The longest name of a property, in bytes.
const NAME_LEN_MAX: usize = 256;

impl StoredProperties {
    /// Properties in this store.
    pub const fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// The value of a property.
    ///
    /// # Errors
    ///
    /// It was never set; the store failed.
    pub async fn read(&self, id: &DeviceId, name: &str) -> Result<Option<Payload>, ServiceError> {
        let key = key(id, name)?;
        let found = self.blocking(move |store| store.get(&PROPERTIES, &key)).await?;
        let json = found.ok_or(ServiceError::NotFound)?;
        Payload::new(&json).map(Some).map_err(|error| ServiceError::Failed(error.to_string()))
    }

    /// Sets a property. When this answers, it is on the disk.
    ///
    /// # Errors
    ///
    /// A name that is too long; the store failed.
    pub async fn set(
        &self,
        id: &DeviceId,
        name: &str,
        value: &Payload,
    ) -> Result<(), ServiceError> {
        let (key, json) = (key(id, name)?, value.value().to_json());
        let put = move |store: &Store| store.write(|writer| writer.put(&PROPERTIES, &key, &json));
        self.blocking(put).await
    }

    /// A store waits for the disk, which would hold up everything else.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        let done = done.map_err(|error| ServiceError::Failed(error.to_string()))?;
        done.map_err(|error| ServiceError::Failed(error.to_string()))
    }
}

/// A key that no other device and name have: the parts are told apart by a byte that names have not.
fn key(id: &DeviceId, name: &str) -> Result<String, ServiceError> {
    let parts = [id.user.as_str(), id.device.as_str(), name];
    let bad = parts.iter().any(|part| part.len() > NAME_LEN_MAX || part.contains('\0'));
    if bad {
        return Err(ServiceError::BadRequest("a name is too long or has a NUL".into()));
    }
    Ok(parts.join("\0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn properties_last_and_belong_to_their_device() {
        let path = std::env::temp_dir().join(format!("properties-{}.redb", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let (one, two) = (DeviceId::new("ada", "boiler"), DeviceId::new("ada", "pump"));
        let value = Payload::new(&serde_json::json!({ "max": 80.5 })).unwrap();
        for round in 0..2 {
            let properties = StoredProperties::new(Arc::new(Store::open(&path).unwrap().0));
            if round == 0 {
                assert_eq!(properties.read(&one, "limits").await, Err(ServiceError::NotFound));
                properties.set(&one, "limits", &value).await.unwrap();
            }
            assert_eq!(properties.read(&one, "limits").await, Ok(Some(value.clone())));
            assert_eq!(properties.read(&two, "limits").await, Err(ServiceError::NotFound));
            let long = "x".repeat(NAME_LEN_MAX + 1);
            assert!(properties.set(&one, &long, &value).await.is_err());
        }
        std::fs::remove_file(&path).unwrap();
    }
}
