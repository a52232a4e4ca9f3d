"""What makes the site of the pages beside it; not part of the site."""
