"""``moorage image``: images as records, and what brings them in, copies them and lets docker pull them."""

from __future__ import annotations

from moorage_cli.commands.image_copy import copy
from moorage_cli.commands.image_docker_login import docker_login, docker_logout
from moorage_cli.commands.image_push import push
from moorage_cli.kinds import IMAGE
from moorage_cli.resources import noun_group

image = noun_group(IMAGE, "Images: pushed, found, labelled, copied.")
for _command in (copy, docker_login, docker_logout, push):
    image.add_command(_command)
