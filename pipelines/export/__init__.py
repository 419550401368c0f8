"""From a registered model version to a registered bundle for devices."""
