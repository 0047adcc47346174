"""The service that holds live sessions."""
