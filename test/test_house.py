"""How the house is built: imports go one way, and `common` knows no data set."""
import ast
import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# {module of common: its floor}, from the ground up: it imports only what is on its own floor or below.
FLOORS = {name.strip('`/ '): int(floor)
          for floor, names in re.findall(r'^\| (\d) \| (.*?) \|', (ROOT / 'CONTRIBUTING.md').read_text(), re.M)
          for name in names.split(',')}


def imports(path):
    """The modules that a file imports, such as 'common.nets.losses'."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom):
            yield from (f'{node.module}.{name.name}' for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_imports_go_one_way():
    wrong = []
    for path in sorted((ROOT / 'common').rglob('*.py')):
        own = path.relative_to(ROOT / 'common').with_suffix('').parts[0]
        if own not in FLOORS or path.name == '__main__.py':                    # programs at the commands' fixed names
            continue
        for module in imports(path):
            parts = module.split('.')
            if parts[0] == 'common' and len(parts) > 1 and parts[1] in FLOORS and \
                    FLOORS[parts[1]] > FLOORS[own]:
                wrong.append(f'{path.relative_to(ROOT)} imports {module}')
    assert not wrong


def test_every_module_has_its_floor():
    found = {path.stem if path.suffix else path.name for path in (ROOT / 'common').iterdir()
             if path.suffix == '.py' or (path / '__init__.py').exists()}
    assert found - set(FLOORS) == {'__init__', 'export', 'complexity', 'compare', 'torch_weights'}


def test_common_imports_no_data_set():
    for path in (ROOT / 'common').rglob('*.py'):
        assert not [module for module in imports(path) if module.split('.')[0] in ('pose_mpii', 'pose_coco')], path


def test_what_the_benchmarks_import_is_there():
    """They are run by hand."""
    for path in (ROOT / 'test/benchmark').glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.module.split('.')[0] in ('common', 'pose_mpii', 'pose_coco'):
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name) or importlib.util.find_spec(f'{node.module}.{name.name}'), path


def test_no_function_has_eight_parameters():
    for path in (path for folder in ('common', 'pose_mpii', 'pose_coco', 'scripts')
                 for path in (ROOT / folder).rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.FunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs,
                         node.args.vararg, node.args.kwarg]
                names = [each.arg for each in given if each and each.arg not in ('self', 'cls')]
                assert len(names) < 8, f'{path.relative_to(ROOT)}:{node.lineno} {node.name} has {len(names)}'


def test_no_line_has_more_than_120_characters():
    for path in (ROOT / 'setup.py', *(path for folder in ('common', 'pose_mpii', 'pose_coco', 'scripts', 'test')
                                      for path in (ROOT / folder).rglob('*.py'))):
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
            assert len(line) <= 120, f'{path.relative_to(ROOT)}:{number} has {len(line)}'
