"""Web page and Grafana provisioning: come with their own issue; this package reserves the name."""
