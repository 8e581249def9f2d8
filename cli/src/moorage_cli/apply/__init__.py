"""Files of resources: read, checked as a whole, compared with what the registry has, and then written."""
