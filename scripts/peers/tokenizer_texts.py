"""Lines to tokenize, the same on every machine: many languages, code, emoji, combining marks, odd white
space, random characters, and text that holds special tokens."""
import pathlib
import random
import unicodedata

# Article 1 of the Universal Declaration of Human Rights, and plain sentences, in many scripts.
SENTENCES = [
    "All human beings are born free and equal in dignity and rights.",
    "They're endowed with reason & conscience, and should act towards one another in a spirit of brotherhood.",
    "I've said: don't! We'll see what he'd do; it's 3.14159 or 1,000,000.",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Straße, Fußgängerübergänge.",
    "Tous les êtres humains naissent libres et égaux en dignité et en droits. L'œuvre déjà vue, ça va ?",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos. ¿Qué? ¡Mañana!",
    "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
    "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Coração, ação.",
    "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności. Zażółć gęślą jaźń.",
    "Všichni lidé rodí se svobodní. Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Minden emberi lény szabadon születik. Árvíztűrő tükörfúrógép.",
    "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. İstanbul ışığı Iğdır.",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "Все люди рождаются свободными и равными в своем достоинстве и правах. Ёлка, подъезд.",
    "Всі люди народжуються вільними і рівними у своїй гідності та правах. Їжак, ґанок.",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι. ΣΊΣΥΦΟΣ σίσυφος.",
    "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. שָׁלוֹם",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. السَّلَامُ عَلَيْكُمْ ١٢٣٤",
    "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند. ۱۲۳",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। १२३",
    "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
    "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.",
    "తెలుగు లిపి: ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును జన్మతః స్వతంత్రులు.",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "កាន់តែពិសេសអាចខលចេញ មនុស្សទាំងអស់កើតមកមានសេរីភាព",
    "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.",
    "Բոլոր մարդիկ ծնվում են ազատ ու հավասար։",
    "ሁሉም የሰው ልጆች ነፃ ሆነው ተወለዱ።",
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "人人生而自由，在尊嚴和權利上一律平等。",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。ｶﾀｶﾅ ﾊﾝｶｸ",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "한글 분해: 한글",
    "ＦＵＬＬ　ＷＩＤＴＨ　１２３ ﬁne ﬂow ﬃ ½ ¾ ² ³ ① Ⅳ ㍿ ™ ℃ …",
    "Naïve café résumé; naïve café résumé; ạ̈̀ Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!",
    "🦙.cpp 🚀 (normal) 😶‍🌫️ (multiple) ✅ 👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ☃️ ❤️‍🔥 1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α∧¬β = ¬(¬α∨β), ∫₀^∞ e^{-x²} dx = √π/2 ≈ 0.886",
    "“quotes” ‘single’ «guillemets» – en — em ‐ hyphen • bullet § ¶ † ‡ ‰ €100 £20 ¥300 ₹5",
]
CODE = [
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }  // dot product",
    "\tif (x != nullptr && !x->empty()) return std::move(*x);",
    "def f(x, *args, **kwargs):\n    \"\"\"Doc.\"\"\"\n    return {k: v for k, v in kwargs.items() if v is not None}\n",
    "SELECT name, COUNT(*) FROM users WHERE id >= 42 GROUP BY name HAVING COUNT(*) > 1;",
    "<div class=\"a b\" id='x'>&nbsp;&lt;tag/&gt;</div>",
    "#include <vector>\r\n#define MAX(a,b) ((a)>(b)?(a):(b))\r\n",
    "{\"key\": [1, 2.5e-10, null, true], \"path\": \"C:\\\\Users\\\\x\"}",
    "$ curl -sSL https://example.com/a?b=c&d=%20e | tar -xz --strip-components=1",
    "0x1F600 0b1010 1e9 12345678901234567890 3.0.1-rc2 v1.2",
    "fn main() -> Result<(), Box<dyn Error>> { println!(\"{:?}\", x?); Ok(()) }",
    "lambda_CamelCase snake_case kebab-case SCREAMING_CASE __dunder__ a.b.c() != d::e",
]
SPACES = [" ", "  ", "   ", "        ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\n \n", " \n", "\u00a0", "\u3000", "\u2009",
          "\u200b", "\u2028", "\u0085", "\u180e", "\ufeff", "\x0b", "\x0c", "\u202f", " \t ", "\u2581", "\u200d", "\x00", "\x1b"]
SPECIAL = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>user\n", "<|im_end|>", "[CLS]", "[SEP]", "[MASK]", "<pad>",
           "<0x0A>", "<mask>", "▁", "Ġ"]
BLOCKS = [(0x20, 0x7F), (0xA0, 0x250), (0x250, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00), (0xE00, 0x1100),
          (0x1E00, 0x2000), (0x2000, 0x2C00), (0x3000, 0x3100), (0x3400, 0x9FFF), (0xAC00, 0xD7A4), (0xF900, 0xFB07),
          (0xFE30, 0xFFEF), (0x1F300, 0x1FAF0), (0x1D400, 0x1D800), (0x20000, 0x2A6DF)]


def assigned(block, pick):
    """A character of a block. Marks and punctuation have been in Unicode for long: the reference's tables of
    those are older than others."""
    while True:
        c = chr(pick.randrange(*block))
        kind = unicodedata.category(c)
        if kind not in ("Cn", "Cs", "Co") and (kind[0] not in "CMP" or unicodedata.ucd_3_2_0.category(c) == kind):
            return c


def lines(count, files=(), seed=1):
    """`count` lines; `files` add lines of their own."""
    pick = random.Random(seed)
    words = [w for s in SENTENCES for w in s.split()]
    pool = [line for f in files for line in pathlib.Path(f).read_text(errors="replace").splitlines() if line]
    out = ["", " ", "  ", "a", " a", "a "] + SPACES + SPECIAL + SENTENCES + CODE
    while len(out) < count:
        kind = pick.randrange(8)
        if kind == 0 and pool:
            out.append(pick.choice(pool))
        elif kind == 1:
            out.append("".join(pick.choice(words) + pick.choice(SPACES) for _ in range(pick.randrange(1, 12))))
        elif kind == 2:
            out.append(pick.choice(CODE).replace(" ", pick.choice(SPACES)))
        elif kind == 3:
            block = pick.choice(BLOCKS)
            out.append("".join(assigned(block, pick) for _ in range(pick.randrange(1, 40))))
        elif kind == 4:
            out.append("".join(assigned(pick.choice(BLOCKS), pick) for _ in range(pick.randrange(1, 30))))
        elif kind == 5:
            parts = [pick.choice(words + SPECIAL * 8 + SPACES * 4) for _ in range(pick.randrange(1, 10))]
            out.append(pick.choice(["", " "]).join(parts))
        elif kind == 6:  # marks on anything
            out.append("".join(c + chr(pick.choice([0x300, 0x301, 0x308, 0x323, 0x20DD, 0xFE0F, 0x94D, 0x5B0]))
                               if pick.random() < 0.4 else c for c in pick.choice(SENTENCES)))
        else:
            out.append("".join(pick.choice(words) + pick.choice(["", " ", ".", ", ", "-", "'s ", "123"])
                               for _ in range(pick.randrange(1, 25))))
    return out[:count]


def broken(count, seed=2):
    """Bytes that are no UTF-8, one line each."""
    pick = random.Random(seed)
    out = []
    for _ in range(count):
        text = bytearray(pick.choice(SENTENCES).encode())
        for _ in range(pick.randrange(1, 6)):
            at = pick.randrange(len(text))
            if pick.random() < 0.5:
                text[at] = pick.randrange(0x80, 0x100)
            else:
                del text[at]
        out.append(bytes(text).replace(b"\n", b" ").replace(b"\r", b" "))
    return out
