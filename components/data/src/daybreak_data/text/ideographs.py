"""What a character costs in Chinese, Japanese and Korean text: by how common it is, without regard to its neighbours.

Owns the tables of common characters. Does not own alphabets (letter_pairs.py) nor which codec is tried (charsets.py).
Costs are in nats, about the negative logarithm of a character's share in text of its script, set by hand.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint32]

FREQUENT, COMMON, RARE, ABSURD = 5.5, 9.0, 11.5, 18.0
NO_KANA = 4.0
"""Added once: Japanese without a single kana is seldom Japanese."""
LONELY = 9.0
"""Added to a letter of half-width kana that no other one touches."""
ALONE, INSIDE = 3.0, 5.0
"""Added to an ideograph that no other one touches, and to one between two ASCII letters: "Gr더e"."""
_MARKS = "©®°·«»§±µ–—‘’“”…€£×²³½™•¿¡¹ºª¶¥¢†"
_HALF_WIDTH = (0xFF61, 0xFFA0)

_SIMPLIFIED = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然"
    "家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把"
    "机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果"
    "加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔"
    "更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展"
    "马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共"
    "确传师观清今切院让识候带导争运值返函参数文件类型错误码字符串默认注释测试输入输出配置删除添加获取设置初始执行列表"
    # words of comments: whether, enable, control, support, draw, window, screen, copy, buffer, request, thread
    "否判断启禁控支持扩展绘制窗屏幕居左右宽颜片鼠标键盘消息按钮增改查找保存读写闭创销毁释放内指针组线程锁待超"
    "连网络请响应服务器客户端调缓冲循环计算移拷贝插排序检测验证清空加载更刷新显隐藏焦拖动滚条菜单框本码块"
)
_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然"
    "家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把"
    "機十民第公此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果"
    "加西斯月話合回特代內信表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾"
    "更別打女變四神總何電數安少報才結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形社便空決治展"
    "值返函參數檔案類型錯誤碼字元串預設註釋測試輸入輸出配置刪除添加獲取設置初始執行列表"
)
_HANGUL = (
    "이다는을의에고가를한하은지사도로기서리나자인시어그아대과만정라수일부에게있것해면니보상제들전습입와스며으주성여요장"
    "트음구원생조비동관신안용때문공경오소내세모무우간화분실체적방반중회계위터드류변되될된할함합었않없같또는값파"
)


def cost(codes: Codes, places: npt.NDArray[np.intp], script: str) -> float:
    """The price of the characters at these places."""
    outside = codes[places]
    total = float(_table(script)[np.minimum(outside, 0xFFFF)].sum())
    total += _cost_of_places(codes, places)
    if script != "japanese":
        return total
    half = (outside >= _HALF_WIDTH[0]) & (outside < _HALF_WIDTH[1])
    if half.any():
        total += _cost_of_half_width(codes, places[half])
    if not (half.any() or bool(((outside > 0x3040) & (outside < 0x30FF)).any())):
        total += NO_KANA
    return total


def _cost_of_places(codes: Codes, places: npt.NDArray[np.intp]) -> float:
    padded = np.concatenate(([0x20], codes, [0x20]))
    own, before, after = codes[places], padded[places], padded[places + 2]
    ideograph = own >= 0x3400
    alone = ideograph & (before <= 0x7F) & (after <= 0x7F)
    return ALONE * float(alone.sum()) + INSIDE * float((alone & _is_latin(before) & _is_latin(after)).sum())


def _is_latin(codes: Codes) -> npt.NDArray[np.bool_]:
    folded = codes | 0x20
    return (folded >= 0x61) & (folded <= 0x7A)


def _cost_of_half_width(codes: Codes, places: npt.NDArray[np.intp]) -> float:
    """What every other character set looks like in Shift_JIS: priced as words in katakana, not letter by letter."""
    from daybreak_data.text import letter_pairs

    padded = np.concatenate(([0x20], codes, [0x20]))
    before, after = padded[places], padded[places + 2]
    alone = ~(_is_half(before) | _is_half(after))
    return letter_pairs.cost_in("kana", codes, places) + LONELY * float(alone.sum())


def _is_half(codes: Codes) -> npt.NDArray[np.bool_]:
    return (codes >= _HALF_WIDTH[0]) & (codes < _HALF_WIDTH[1])


@cache
def _table(script: str) -> Costs:
    table = np.full(0x10000, ABSURD, dtype=np.float32)
    _price_ideographs(table, script)
    return table


def _price_ideographs(table: Costs, script: str) -> None:
    table[0x4E00:0xA000] = RARE
    table[0x3000:0x3040] = FREQUENT  # ideographic space, comma, full stop, brackets
    table[0xFF01:0xFF5F] = FREQUENT + 1.0  # full-width forms
    _put(table, "，。！？：；（）", FREQUENT)
    for code in range(0xA0, 0x530):
        table[code] = RARE + 1.0
    table[0x2010:0x2640] = RARE  # arrows, box drawing, mathematical signs
    _put(table, _MARKS, COMMON - 1.0)
    if script == "japanese":
        table[0x3041:0x30FF] = FREQUENT - 1.0
        table[0xFF61:0xFFA0] = 0.0  # priced by pairs
        _put(table, _plane("euc_jp", range(0xB0, 0xD0)), COMMON)
    elif script == "korean":
        table[0xAC00:0xD7A4] = RARE - 0.5
        _put(table, _plane("euc_kr", range(0xB0, 0xC9)), COMMON - 0.5)
        _put(table, _HANGUL, FREQUENT)
    elif script == "simplified":
        _put(table, _plane("gb2312", range(0xB0, 0xD8)), COMMON)
        _put(table, _SIMPLIFIED, FREQUENT)
    else:
        _put(table, _plane("big5", range(0xA4, 0xC7)), COMMON)
        _put(table, _TRADITIONAL, FREQUENT)


def _plane(codec: str, rows: range) -> str:
    """The characters of the rows that a standard set aside for the common ones."""
    pairs = (bytes((row, cell)) for row in rows for cell in range(0x40, 0xFF))
    return "".join(pair.decode(codec, "ignore") for pair in pairs)


def _put(table: Costs, characters: str, price: float) -> None:
    for character in characters:
        if "\x7f" < character <= "\uffff":
            table[ord(character)] = price
