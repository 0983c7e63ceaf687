"""The leader may see how far the projections are: it throttles new orders while they are late.

Revision: 0003, after 0002.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("GRANT SELECT ON projection_cursors TO orderwire_engine")


def downgrade() -> None:
    op.execute("REVOKE SELECT ON projection_cursors FROM orderwire_engine")
