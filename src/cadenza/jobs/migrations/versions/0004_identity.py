"""What tells one service from another, so that a folder knows whose files it holds."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    service = op.create_table("service", sa.Column("id", sa.String(32), primary_key=True))
    op.bulk_insert(service, [{"id": uuid4().hex}])


def downgrade() -> None:
    op.drop_table("service")
