"""config.json: the guide's file, and each rule."""

import json

import pytest

from ppocr_contract.config import ConfigError, check


def config(**changes):
    data = {
        "modules_info": {"ocr_system": {"init_args": {"version": "1.0.0"}, "predict_args": {}}},
        "port": 8866,
        "use_multiprocess": False,
    }
    data.update(changes)
    return json.dumps(data)


def with_init_args(**init_args):
    return config(modules_info={"ocr_system": {"init_args": init_args, "predict_args": {}}})


GUIDE = """{
    "modules_info": {
        "ocr_system": {
            "init_args": {
                "version": "1.0.0",
                "use_gpu": true, #是否使用gpu，如果是cpu机器则设置成false
                "enable_mkldnn": true
            },
            "predict_args": {
            }
        }
    },
    "port": 8866, # 服务端口
    "use_multiprocess": false, # 是否使用多进程，默认为单进程，多核cpu可改为true
    "workers": 2 # 在并发方式下指定的并发任务数
}
"""


def test_the_guides_file_with_comments_is_accepted():
    checked = check(GUIDE)
    assert checked.port == 8866
    init_args = checked.modules["ocr_system"]["init_args"]
    assert init_args == {"version": "1.0.0", "use_gpu": True, "enable_mkldnn": False}
    assert checked.notes == (
        "ocr_system: use_gpu and enable_mkldnn are both true: the GPU is used",
        "workers has no effect without use_multiprocess",
    )


def test_a_byte_order_mark_is_no_content():
    assert check("\ufeff" + GUIDE).port == 8866


def test_a_hash_inside_a_string_is_no_comment():
    name = "a#b"
    checked = check(config(modules_info={name: {"init_args": {"directory": "/x#y"}}}))
    assert checked.modules[name]["init_args"]["directory"] == "/x#y"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"modules_info": }', "line 1, column 18"),
        ("[]", "not a JSON object"),
        (config(use_gpu=True), "init_args.use_gpu instead"),
        (config(gunicorn=1), "unknown gunicorn"),
        (config(modules_info={}), "modules_info names none"),
        (config(port=0), "port 0 is not 1 to 65535"),
        (config(port="8866"), "port '8866'"),
        (config(workers=0), "workers 0"),
        (config(use_multiprocess="yes"), "use_multiprocess is not true or false"),
        (with_init_args(use_gpu="true"), "use_gpu: 'true' is not bool"),
        (with_init_args(gpu=True), "init_args.gpu: known are"),
        (with_init_args(use_gpu=1), "write true or false"),
        (with_init_args(use_gpu=True, engine="openvino"), "leave engine out"),
        (
            config(
                modules_info={
                    "ocr_det": {"init_args": {"use_gpu": True}},
                    "ocr_rec": {"init_args": {"use_gpu": True, "engine": "paddle"}},
                }
            ),
            "the image for GPUs carries one engine",
        ),
        (config(modules_info={"ocr_det": {"init_args": ["a"]}}), "ocr_det.init_args is not an"),
        (config(modules_info={"ocr_det": {"init_args": "a"}}), "ocr_det.init_args is not an"),
        ("[" * 100_000, "nested too deeply"),
        (with_init_args(engine="torch"), "'torch' is not one of openvino, onnxruntime, paddle"),
        (
            config(modules_info={"ocr_rec": {"predict_args": {"paths": ["/etc/passwd"]}}}),
            "ocr_rec takes none",
        ),
    ],
)
def test_each_rule_names_the_key(text, message):
    with pytest.raises(ConfigError) as error:
        check(text)
    assert message in str(error.value)


def test_an_operators_module_on_a_gpu_need_not_name_an_engine():
    on_paddle, own = {"use_gpu": True, "engine": "paddle"}, {"use_gpu": True}
    modules = {"ocr_system": {"init_args": on_paddle}, "seals": {"init_args": own}}
    assert check(config(modules_info=modules)).gpu_engines == {"paddle"}
    alone = check(config(modules_info={"seals": {"init_args": own}}))
    assert alone.uses_gpu and alone.gpu_engines == set()


def test_use_gpu_with_use_multiprocess_is_refused():
    modules = {"ocr_system": {"init_args": {"use_gpu": True}}}
    with pytest.raises(ConfigError, match="exclude each other"):
        check(config(modules_info=modules, use_multiprocess=True))


def test_workers_with_use_multiprocess_is_served_without_a_note():
    assert check(config(use_multiprocess=True, workers=2)).notes == ()


def test_an_operators_own_module_keeps_its_arguments():
    modules = {"my_module": {"init_args": {"threshold": 3}, "predict_args": {"top": 1}}}
    assert check(config(modules_info=modules)).modules == modules
