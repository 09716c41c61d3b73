"""`python -m common.export`: `common/deploy/export.py`."""
from common.deploy.export import main
from common.programs.cli import run

if __name__ == '__main__':
    run(main)
