"""Property tests have no deadline of their own: the machine may be busy."""

from hypothesis import settings

settings.register_profile("moorage", deadline=None, max_examples=60)
settings.load_profile("moorage")
