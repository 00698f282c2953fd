"""Twins: a program in an old character set and the same one in UTF-8 have the same text, or the old one is dropped.

The comments are written for this test, as people write them: long ones and short ones, one or several in a program.
"""

from __future__ import annotations

import codecs
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_data.text import damaged
from daybreak_data.text.decode import Decoded, Undecodable, decode
from tests.plugins.profiles import examples

GREEK = [
    "Διαβάζει τις ρυθμίσεις από το αρχείο και επιστρέφει ένα λεξικό",
    "προσοχή: μην το αλλάξετε",
    "μέγεθος του πίνακα",
    "τέλος",
    "Άγνωστο σφάλμα, δοκιμάστε ξανά",
]
HEBREW = [
    "קורא את ההגדרות מן הקובץ ומחזיר מילון",
    "גודל הטבלה",
    "לא לשנות",
    "שגיאה: הקובץ לא נמצא",
    "סוף הלולאה",
]
ARABIC = [
    "يقرأ الإعدادات من الملف ويعيد القاموس",
    "حجم الجدول",
    "لا تغير هذا السطر",
    "خطأ في قراءة الملف",
    "نهاية الحلقة",
]
TURKISH = [
    "Ayarları dosyadan okur ve bir sözlük döndürür",
    "değiştirmeyin, başka yerde de kullanılıyor",
    "kullanıcı adı boş olamaz",
    "İşlem başarısız oldu",
    "çıkış",
]
THAI = ["อ่านการตั้งค่าจากไฟล์แล้วคืนค่าเป็นพจนานุกรม", "ขนาดของตาราง", "อย่าแก้ไขบรรทัดนี้", "ไม่พบไฟล์", "จบการทำงาน"]
POLISH = [
    "Czyta ustawienia z pliku i zwraca słownik, jeśli się da",
    "błąd: nie można otworzyć źródła",
    "wartość domyślna",
    "żądanie",
    "Ścieżka do pliku wyjściowego",
]
HUNGARIAN = [
    "Beolvassa a beállításokat a fájlból",
    "hibás érték, próbálja újra",
    "üres szöveg",
    "először a gyökérkönyvtár",
]
RUSSIAN = [
    "Читает настройки из файла и возвращает словарь",
    "не менять, используется в другом месте",
    "размер таблицы",
    "конец цикла",
    "Ошибка: файл не найден",
    "ждём ответа",
]
FRENCH = [
    "Lit les réglages du fichier et renvoie un dictionnaire",
    "à compléter",
    "déjà lu",
    "Évite une boucle",
    "années",
]
GERMAN = ["Größe der Tabelle", "für später", "löscht alle Einträge", "Öffnet die Datei", "übrig"]
SPANISH = [
    "tamaño de la tabla",
    "¿está vacío?",
    "Lee la configuración del archivo",
    "año",
    "función auxiliar",
]
KANA = ["ﾌｧｲﾙ ｦ ﾖﾐｺﾐﾏｽ", "ｻｲｽﾞ", "ｴﾗｰ ﾒｯｾｰｼﾞ", "ﾃﾞｰﾀ ｦ ﾆｭｳﾘｮｸ ｼﾃｸﾀﾞｻｲ", "ｼｽﾃﾑ ﾉ ｾｯﾃｲ ｦ ｶｴﾏｽ"]
JAPANESE = [
    "設定ファイルを読み込んで辞書を返す",
    "変更しないでください",
    "配列の大きさ",
    "終了",
    "エラーが発生しました",
]
CHINESE = ["读取配置文件并返回字典", "不要修改这一行", "数组的大小", "结束循环", "错误：文件不存在"]
KOREAN = [
    "설정 파일을 읽어서 사전을 반환한다",
    "이 줄은 수정하지 마세요",
    "배열의 크기",
    "오류가 발생했습니다",
]
FRAME = ["╔════════════════╗", "║ Menü für Gäste ║", "╚════════════════╝", "─── größe ───"]

TWINS = {
    "cp1253": GREEK,
    "cp1255": HEBREW,
    "cp1256": ARABIC,
    "cp1254": TURKISH,
    "cp874": THAI,
    "iso8859-2": POLISH,
    "cp866": RUSSIAN,
    "mac-cyrillic": RUSSIAN,
    "cp437": FRAME + GERMAN,
    "cp932": KANA,
    "cp1250": HUNGARIAN,
    "cp1251": RUSSIAN,
    "koi8-r": RUSSIAN,
    "cp1252": FRENCH,
    "shift_jis": JAPANESE,
    "euc_jp": JAPANESE,
    "gb18030": CHINESE,
    "big5": ["讀取設定檔並傳回字典", "不要修改這一行", "陣列的大小", "錯誤：檔案不存在"],
    "euc_kr": KOREAN,
    "cp850": SPANISH,
    "iso8859-7": GREEK,
    "iso8859-5": RUSSIAN,
    "iso8859-9": TURKISH,
    "iso8859-15": FRENCH,
    "latin-1": SPANISH,
}
CODE = "def add(left, right):\n    return left + right\n\n\n"


def program(comments: list[str], mark: str = "#") -> str:
    return "".join(f"{mark} {comment}\n{CODE}" for comment in comments)


@pytest.mark.parametrize("codec", list(TWINS))
def test_a_program_in_an_old_character_set_has_the_text_of_its_twin(codec: str) -> None:
    text = program(TWINS[codec])
    found = decode(text.encode(codec))
    assert isinstance(found, Decoded)
    assert found.text == text


@pytest.mark.parametrize("codec", list(TWINS))
def test_a_single_comment_is_read_rightly_or_not_at_all(codec: str) -> None:
    found = {comment: decode(program([comment], "//").encode(codec)) for comment in TWINS[codec]}
    wrong = {
        comment: one for comment, one in found.items() if isinstance(one, Decoded) and comment not in one.text
    }
    assert wrong == {}
    right = sum(isinstance(one, Decoded) for one in found.values())
    assert right >= 0.6 * len(found), [
        comment for comment, one in found.items() if isinstance(one, Undecodable)
    ]


UTF8 = program(["déjà lu, à compléter", "größer", "naïve"])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            UTF8.encode() + b"# caf\xe9\n",
            Decoded(UTF8 + "# caf\ufffd\n", damaged.REPLACED),
            id="one bad byte",
        ),
        pytest.param(
            "# café\n".encode() + b"x = '\xa4'\n",
            Decoded("# café\nx = '\ufffd'\n", damaged.REPLACED),
            id="one bad byte, one good letter",
        ),
        pytest.param(
            (UTF8 + "# fin é").encode()[:-1],
            Decoded(UTF8 + "# fin \ufffd", damaged.REPLACED),
            id="cut in a letter",
        ),
        pytest.param(
            (UTF8 + "# 結").encode()[:-1],
            Decoded(UTF8 + "# \ufffd", damaged.REPLACED),
            id="cut in an ideograph",
        ),
        pytest.param(
            (UTF8 + "# 😀").encode()[:-2], Decoded(UTF8 + "# \ufffd", damaged.REPLACED), id="cut in an emoji"
        ),
        pytest.param(UTF8.encode("utf-16-le"), Decoded(UTF8, "utf-16-le"), id="UTF-16 without a mark"),
        pytest.param(UTF8.encode("utf-16-be"), Decoded(UTF8, "utf-16-be"), id="and the other way round"),
        pytest.param(UTF8.encode("utf-32-le"), Decoded(UTF8, "utf-32-le"), id="UTF-32 without a mark"),
        pytest.param(
            program(RUSSIAN).encode("utf-16-le"),
            Decoded(program(RUSSIAN), "utf-16-le"),
            id="Russian in UTF-16",
        ),
        pytest.param(
            b"int main(void)\n{\n    return 0;\n}\n\0",
            Decoded("int main(void)\n{\n    return 0;\n}\n\ufffd", damaged.REPLACED),
            id="a C file with one NUL",
        ),
        pytest.param(
            b"int a;\0\0\0\0\0\0\0\0\0\0\0int b;\n", Undecodable("binary"), id="a hole of NULs is binary"
        ),
        pytest.param(
            (CODE + "# \ud83d\ude00 ok\n").encode("utf-8", "surrogatepass"),
            Decoded(CODE + "# 😀 ok\n", "cesu-8"),
            id="CESU-8",
        ),
        pytest.param(
            "       IDENTIFICATION DIVISION.\n       PROGRAM-ID. HELLO.\n".encode("cp037"),
            Decoded("       IDENTIFICATION DIVISION.\n       PROGRAM-ID. HELLO.\n", "cp037"),
            id="EBCDIC",
        ),
        pytest.param(
            b"<?xml version='1.0' encoding='Shift_JIS'?>\n<a>\x81\x60</a>\n",
            Decoded("<?xml version='1.0' encoding='Shift_JIS'?>\n<a>～</a>\n", "cp932"),
            id="a label means what browsers take it for",
        ),
        pytest.param(
            "# coding: latin-1\n# “costs 5 €”\n".encode("cp1252"),
            Decoded("# coding: latin-1\n# “costs 5 €”\n", "cp1252"),
            id="Latin-1 with controls is Windows-1252",
        ),
        pytest.param(
            b"x = '\x81\x39\xfe\xff\x80\xd2\x80\xff'\n",
            Undecodable("unknown-encoding"),
            id="nothing makes sense of it",
        ),
    ],
)
def test_unicode_with_a_fault_is_unicode(data: bytes, expected: Decoded | Undecodable) -> None:
    assert decode(data) == expected


@pytest.mark.slow
@given(st.sampled_from(sorted(TWINS)), st.binary(max_size=120))
@settings(max_examples=examples(300))
def test_nothing_is_decoded_to_characters_that_nobody_writes(codec: str, noise: bytes) -> None:
    found = decode(program(TWINS[codec][:1]).encode(codec) + noise)
    if isinstance(found, Undecodable) or found.encoding.startswith(("utf-8", "utf-16", "utf-32", "iso2022")):
        return
    odd = [
        sign
        for sign in found.text
        if sign > "\x7f" and unicodedata.category(sign) in ("Cc", "Cn", "Co", "Cs")
    ]
    assert odd == []


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1b\ufffd"), min_size=20),
    st.integers(min_value=1, max_value=3),
)
def test_a_cut_changes_the_last_character_only(text: str, lost: int) -> None:
    data = text.encode()[:-lost]
    found = decode(data)
    if data.startswith(codecs.BOM_UTF8) or not isinstance(found, Decoded):
        return
    if found.encoding == damaged.REPLACED:
        assert found.text.rstrip("\ufffd") == data.decode(errors="ignore")
