"""What machines read of the server: metrics for Prometheus, traces for OpenTelemetry."""
