"""What is asked of the queue all the time costs as little however many jobs have ended."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_jobs_state_owner_turn", "jobs", ["state", "owner", "turn"])
    endings = op.create_table(
        "endings",
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("jobs", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("state", name="pk_endings"),
    )
    op.bulk_insert(endings, [{"state": end, "jobs": 0} for end in ("done", "failed", "cancelled")])
    op.execute(
        "UPDATE endings SET jobs = (SELECT count(*) FROM jobs WHERE jobs.state = endings.state)"
    )


def downgrade() -> None:
    op.drop_table("endings")
    op.drop_index("ix_jobs_state_owner_turn", "jobs")
