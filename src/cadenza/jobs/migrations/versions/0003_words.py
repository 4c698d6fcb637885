"""What a job is doing at the moment, in words."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("doing", sa.String(200), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("jobs", "doing")
