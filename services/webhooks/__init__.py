"""Webhooks: follows the events of jobs, and takes the jobs of the lane `webhook`."""
