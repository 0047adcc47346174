"""What callers may ask for: read from forms and JSON, checked, with the API's own words when it is wrong."""
