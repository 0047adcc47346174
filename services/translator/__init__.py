"""The translator: takes the jobs of the lane `translate`."""
