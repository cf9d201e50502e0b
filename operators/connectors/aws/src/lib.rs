//! How AWS is reached: region, endpoint and credentials as every AWS tool takes them.
